//! Socket filters: what they read of packets, evaluated, in rbpf and in the kernel, where classic BPF finds the same.

#![expect(clippy::disallowed_methods, reason = "tests write files for the tools they run")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::eval::{self, Input};
use support::image::KernelImage;
use support::pipeline::{CPUS, Script};
use support::state::{Env, State};
use support::{kernel, package, require_all, run, vm};
use ubpfc::sema::hir::ConstValue;
use ubpfc::sema::skb;
use ubpfc::target::Cpu;

/// A `struct __sk_buff` in which every byte differs from its neighbours.
fn context() -> Vec<u64> {
    let mut words: Vec<u64> = (0..24_u64).map(|i| 0x0102_0304_0506_0708 + i * 0x1011).collect();
    // `protocol` and `vlan_proto` have 16 bits.
    words[2] = 0x0008;
    words[3] = 0xa888_0000_0001;
    words
}

fn packet(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect()
}

/// What a script's program returns and leaves behind, by the evaluator; rbpf finds the same on every instruction set.
fn ran(script: &Script, context: &[u64], packet: &[u8], params: &[(&str, i64)]) -> (u64, State) {
    let image = KernelImage::new("");
    let value = |v: &i64| ConstValue::Int(v.cast_unsigned());
    let params: BTreeMap<_, _> = params.iter().map(|(n, v)| ((*n).into(), value(v))).collect();
    let env = Env { packet: (packet.to_vec(), 14), ..Env::default() };
    let input = Input { image: &image, event: "", args: context.to_vec(), env, params };
    let mut expected = State::new(&script.hir);
    let result = eval::run(&script.hir, 0, &input, &mut expected);
    for cpu in CPUS {
        let code = script.code(cpu).unwrap();
        let mut state = State::new(&script.hir);
        let found = vm::run(&script.hir, &code, 0, &input, &mut state).unwrap();
        // The kernel looks at 32 bits.
        assert_eq!(found & 0xffff_ffff, result & 0xffff_ffff, "{cpu:?}");
        assert_eq!(state, expected, "{cpu:?}");
    }
    (result, expected)
}

/// What is at an index of the script's map `v`.
fn element(state: &State, index: u32) -> u64 {
    let bytes = state.maps[0].get(index.to_le_bytes().as_slice());
    bytes.map_or(0, |b| u64::from_le_bytes(b.as_slice().try_into().unwrap()))
}

#[test]
fn every_field_is_read_from_its_place() {
    let (context, packet) = (context(), packet(64));
    let bytes: Vec<u8> = context.iter().flat_map(|w| w.to_le_bytes()).collect();
    for field in skb::FIELDS {
        let script = format!("socket:filter {{ return skb.{}; }}", field.name);
        let (result, _) = ran(&Script::new(&script).unwrap(), &context, &packet, &[]);
        let at = usize::try_from(field.offset).unwrap();
        let held = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(result, u64::from(held), "{}", field.name);
    }
}

#[test]
fn loads_take_network_order_from_any_offset_or_end_the_program() {
    let packet = packet(60);
    for (width, size) in [("u8", 1), ("u16", 2), ("u32", 4)] {
        let filter = format!(
            "param at: s64 = 0; socket:filter {{ @v = 1; $x = load_{width}(at); @v = 2; return $x + 1 == 0 ? 1 : (u32)($x + 1); }}"
        );
        let filter = Script::new(&filter).unwrap();
        let observer = format!("param at: s64 = 0; socket:filter {{ @v = load_{width}(at); }}");
        let observer = Script::new(&observer).unwrap();
        let edges = [0, 60, 1 << 31, 1 << 32, i64::MAX, i64::MIN, -0x1000, -0x10_0000, -0x20_0000];
        for at in edges.iter().flat_map(|e| (-5..=5).map(move |by| e.wrapping_add(by))) {
            let start = match at {
                0.. => Some(at),
                -0x10_0000..0 => Some(at + 0x10_0000 + 14),
                -0x20_0000..-0x10_0000 => Some(at + 0x20_0000),
                _ => None,
            };
            let start = start.and_then(|s| usize::try_from(s).ok());
            let there = start.filter(|s| s.checked_add(size).is_some_and(|end| end <= 60));
            let number = there.map(|start| {
                packet[start..start + size].iter().fold(0, |n, b| n << 8 | u64::from(*b))
            });
            let (result, state) = ran(&filter, &context(), &packet, &[("at", at)]);
            assert_eq!(result, number.map_or(0, |n| n + 1), "{width} at {at}");
            assert_eq!(element(&state, 0), if number.is_some() { 2 } else { 1 }, "{width} at {at}");
            let (result, state) = ran(&observer, &context(), &packet, &[("at", at)]);
            assert_eq!(result, u64::from(u32::MAX), "an observer takes nothing away: {at}");
            assert_eq!(element(&state, 0), number.unwrap_or(0), "{width} at {at}");
        }
    }
}

#[test]
fn a_load_that_ends_the_program_leaves_no_record_half_written() {
    let text = r#"socket:filter { printf("%d %s %d", load_u32(0), "a text that makes the record a large one", load_u8(40)); }"#;
    let script = Script::new(text).unwrap();
    for (len, records) in [(60, 1), (41, 1), (40, 0), (3, 0)] {
        let (_, state) = ran(&script, &context(), &packet(len), &[]);
        assert_eq!(state.records.len(), records, "{len} bytes");
    }
}

#[test]
fn an_interface_that_is_not_there_ends_the_program_as_in_classic_bpf() {
    let script = Script::new("socket:filter { @v = load(-0x1000 + 8); return 7; }").unwrap();
    let mut context = context();
    let (result, state) = ran(&script, &context, &packet(60), &[]);
    assert_eq!((result, element(&state, 0)), (7, context[5] & 0xffff_ffff));
    context[5] = 0;
    assert_eq!(ran(&script, &context, &packet(60), &[]).0, 0);
}

/// The object of a script, in a file.
fn object(folder: &Path, text: &str) -> PathBuf {
    let script = Script::new(text).unwrap_or_else(|told| panic!("{told}"));
    let code = script.code(Cpu::V3).unwrap();
    let path = folder.join("packets.o");
    std::fs::write(&path, script.object(&code, Cpu::V3)).unwrap();
    path
}

/// What `tests/loader/packets.c` says.
fn loader(folder: &Path, args: &[&str]) -> String {
    let exe = folder.join("packets");
    if !exe.exists() {
        let source = package("tests/loader/packets.c");
        run(Command::new("cc").args(["-O1", "-o"]).arg(&exe).arg(source).arg("-lbpf"));
    }
    let output = Command::new(&exe).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[derive(Debug, Deserialize)]
struct Compared {
    offset: i64,
    value: u64,
    same: bool,
    other: bool,
}

#[test]
fn the_kernel_gives_what_it_gives_classic_bpf() {
    if !require_all(&["root", "cc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut offsets: Vec<i64> = [0, 4, 8, 20, 24, 32, 36, 44, 48, 60].map(|ad| ad - 0x1000).into();
    offsets.extend([0, 2, 12, 14, 36, 92, -0x10_0000, -0x10_0000 + 12, -0x20_0000 + 12]);
    let stores: Vec<String> =
        offsets.iter().enumerate().map(|(i, at)| format!("@v[{i}] = load({at});")).collect();
    let text = format!(
        "let @v = array(64); socket:filter {{ if skb.pkt_type != 0 || load_u16(36) != 47113 {{ return 0; }} {} return skb.len; }}",
        stores.concat()
    );
    let path = object(folder.path(), &text);
    let offsets_text: Vec<String> = offsets.iter().map(i64::to_string).collect();
    let mut args = vec!["compare", path.to_str().unwrap()];
    args.extend(offsets_text.iter().map(String::as_str));
    let told = loader(folder.path(), &args);
    let compared: Vec<Compared> =
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(compared.iter().map(|c| c.offset).collect::<Vec<_>>(), offsets);
    for one in &compared {
        assert!(one.same && !one.other, "{one:?}");
    }
    let value = |ad: i64| compared.iter().find(|c| c.offset == ad - 0x1000).unwrap().value;
    // What the frame was sent with: IP in a VLAN, on the loopback device.
    assert_eq!([0, 8, 20, 44, 48, 60].map(value), [0x800, 1, 0x0123_4567, 0x602a, 1, 0x8100]);
}

#[derive(Deserialize)]
struct Accepted {
    bytes: i64,
}

#[test]
fn the_kernel_accepts_what_a_filter_returns() {
    if !require_all(&["root", "cc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = |args: &[&str]| {
        serde_json::from_str::<Accepted>(&loader(folder.path(), args)).unwrap().bytes
    };
    let ours = |how: &str, text: &str| {
        let path = object(folder.path(), text);
        bytes(&[how, path.to_str().unwrap()])
    };
    for (text, expected) in [
        ("socket:filter { return skb.len; }", 100),
        ("socket:filter { return 10; }", 10),
        ("socket:filter { return 0; }", -1),
        ("socket:filter { @n = count(); }", 100),
        ("socket:filter / skb.len > 1000 / { @n = count(); }", 100),
        ("socket:filter { return load_u8(99) == 0 ? 5 : 6; }", 5),
        ("socket:filter { @v = load_u8(100); return 5; }", -1),
        ("socket:filter { @v = load_u8(100); }", 100),
        // A local socket has no device.
        ("socket:filter { @v = load(-0x1000 + 8); return 5; }", -1),
        ("socket:filter { @v = skb.ifindex; return 5; }", 5),
    ] {
        assert_eq!(ours("accepts", text), expected, "{text}");
    }
    // So it does of classic BPF.
    for (offset, expected) in [("96", 100), ("97", -1), ("-4088", -1), ("-4076", 100)] {
        assert_eq!(bytes(&["classic", offset]), expected, "{offset}");
    }
    assert_eq!(ours("cross", "socket:filter { return load_u16(12) == 0x800 ? 33 : 0; }"), 33);
}

#[test]
fn stock_bpftool_loads_whatever_a_filter_may_do() {
    if !require_all(&["root", "bpftool"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let fields: Vec<String> = skb::FIELDS.iter().map(|f| format!("skb.{}", f.name)).collect();
    let text = format!(
        r#"
        struct big {{ u64 a; u64 b; u64 c; u64 d; u64 e; u64 f; u64 g; u64 h; u64 i; u64 j; }};
        socket:filter {{
            emit ({fields});
            $x = load_u32(skb.len - 4);
            printf("%s %d %d %d", "a longer text that is copied in several steps, one after the other", $x, rand, cpu);
            @keep[$x] = (struct big){{ .a = 1, .b = 2, .c = 3, .d = 4, .e = 5, .f = 6, .g = 7, .h = 8, .i = 9, .j = nsecs }};
            emit @keep[1];
            @h = hist(skb.len); @s[skb.ifindex] = stats(skb.len); @n = len(@keep);
            if has_key(@keep, 9) {{ delete(@keep, 9); }}
            for $i : 0..4 {{ if load_u8(14 + $i) == 9 {{ return 64; }} }}
            if elapsed > 5 {{ exit(); }}
            return skb.len;
        }}
        "#,
        fields = fields.join(", ")
    );
    let path = object(folder.path(), &text);
    kernel::load(&path, false).unwrap_or_else(|log| panic!("{log}"));
}
