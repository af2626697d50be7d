"""What programs wrote, read as the object's own section `.ubpf` says (docs/object-format.md)."""

import json
import struct
from collections import defaultdict


def section(path, wanted):
    """The bytes of a section of a little-endian 64-bit ELF file."""
    with open(path, "rb") as file:
        data = file.read()
    table, = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQ", data, table + size * i) for i in range(count)]
    texts = headers[names][4]
    for name, _, _, _, offset, length in headers:
        start = texts + name
        if data[start:data.index(b"\0", start)].decode() == wanted:
            return data[offset:offset + length]
    raise KeyError(f"{path} has no section {wanted}")


def value(data, offset, kind):
    match kind["kind"]:
        case "bool":
            return data[offset] != 0
        case "int" | "enum":
            return int.from_bytes(data[offset:offset + kind["size"]], "little", signed=kind["signed"])
        case "ptr":
            return int.from_bytes(data[offset:offset + 8], "little")
        case "str":
            return data[offset:offset + kind["size"]].split(b"\0")[0].decode(errors="replace")
        case "array":
            size = width(kind["elem"])
            return [value(data, offset + i * size, kind["elem"]) for i in range(kind["len"])]
        case "struct":
            return {field["name"]: value(data, offset + field["offset"], field["type"]) for field in kind["fields"]}
    raise ValueError(kind)


def width(kind):
    sizes = {"bool": lambda: 1, "ptr": lambda: 8, "array": lambda: kind["len"] * width(kind["elem"])}
    return sizes.get(kind["kind"], lambda: kind["size"])()


class Seen:
    """All that the programs of an object wrote: `records`, of each the list of its values, and `maps`, of each a dict of keys to values. What
    counts is the sum over the processors, and so is a histogram's, whose keys end with the bucket."""

    def __init__(self, path, lines):
        about = json.loads(section(path, ".ubpf"))
        self.records, self.maps = [], defaultdict(dict)
        maps = {entry["name"]: entry for entry in about["maps"]}
        for line in map(json.loads, lines):
            if "record" in line:
                self.record(about["outputs"], bytes.fromhex(line["record"]))
            elif "map" in line and line["map"] in maps:
                self.entry(maps[line["map"]], bytes.fromhex(line["key"]), [bytes.fromhex(v) for v in line["values"]])

    def record(self, outputs, data):
        args = outputs[int.from_bytes(data[:4], "little")]["args"]
        values = [value(data, arg["offset"], arg["type"]) for arg in args]
        self.records.append(values[0] if len(values) == 1 and isinstance(values[0], dict) else values)

    def entry(self, about, key, values):
        parts = [value(key, field["offset"], field["type"]) for field in about["key"]]
        if "bucket_offset" in about:
            parts.append(int.from_bytes(key[about["bucket_offset"]:][:4], "little"))
        kind = about["value"]
        if isinstance(kind, dict) and "plain" in kind:
            result = value(values[0], 0, kind["plain"])
        else:
            result = sum(int.from_bytes(v[:8], "little") for v in values)
        if result:
            self.maps[about["name"]][tuple(parts)] = result

    def __bool__(self):
        return bool(self.records or self.maps)
