//! Fields of the library whose values are converted: images of structs of kernels of different shapes give the same value through each of them.
//!
//! In: the rows of `testdata/library/values.txt`, and the kernels of `testdata/kernels`. Each row's field is read by a program that is relocated to each kernel and run over memory laid out as that
//! kernel's types say, in its byte order and with garbage wherever the row writes nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "what was covered is worth seeing")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use support::eval::Input;
use support::image::{KTy, KernelImage};
use support::kernels::{self, KernelTypes};
use support::pipeline::Script;
use support::state::{Env, State};
use support::{package, vm};
use ubpfc::driver;
use ubpfc::kernel::{Kernel, Places};
use ubpfc::library::Library;
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Options};
use ubpfc::sema::hir::KStep;
use ubpfc::source::{Origin, Sources};
use ubpfc::target::{Endian, Target};

/// The rows: `MIRROR.FIELD of STRUCT.MEMBER: EXPECTED`, then for each shape of kernels a line that begins with blanks: what is written where, the first that the kernel has all members of. A
/// `-` in place of such a line stands for kernels that have none of the others: there the field is 0.
///
/// `of` names the struct that is made, and which of its members is handed over, where that is not the mirror's own struct. What is read may go on, `bio_user.disk.major`, or be an expression in
/// which `@` stands before fields. A place is a path of
/// members, behind a pointer the name of the struct: `bi_bdev:block_device->bd_dev`. Its value is a number, `be16:` or `be32:` and a number in network order, `ENUM::ENUMERATOR`, sums of these, or a
/// text in quotes.
const ROWS: &str = include_str!("../testdata/library/values.txt");

#[derive(Debug)]
struct Row {
    /// `inode_user.ctime_ns`.
    read: &'static str,
    /// The struct that is made.
    made: String,
    /// Its member that is handed over.
    member: Option<&'static str>,
    /// A number, or a text in quotes.
    expected: &'static str,
    shapes: Vec<Vec<Put>>,
}

/// A value at the end of a chain of pointers.
#[derive(Debug)]
struct Put {
    /// The structs' names and the paths within them.
    hops: Vec<(String, &'static str)>,
    value: &'static str,
}

fn rows(library: &Library) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in ROWS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(shape) = line.strip_prefix(' ') {
            let row = rows.last_mut().unwrap();
            let puts = shape.split_whitespace().filter(|put| *put != "-");
            row.shapes.push(puts.map(|put| Put::new(&row.made, put)).collect());
            continue;
        }
        let (head, expected) = line.split_once(": ").unwrap();
        let (read, made) = head.split_once(" of ").unwrap_or((head, ""));
        let (made, member) = match made.split_once('.') {
            Some((made, member)) => (made, Some(member)),
            None => (made, None),
        };
        let mirror = read.split('.').next().unwrap();
        let of = library.mirrors.iter().find(|m| m.name == mirror).unwrap();
        let made = if made.is_empty() { of.kernel.clone() } else { made.to_owned() };
        rows.push(Row { read, made, member, expected, shapes: Vec::new() });
    }
    rows
}

impl Put {
    fn new(made: &str, text: &'static str) -> Put {
        let (path, value) = text.split_once('=').unwrap();
        let mut hops = Vec::new();
        let mut of = made.to_owned();
        for part in path.split("->") {
            let (path, next) = part.split_once(':').unwrap_or((part, ""));
            hops.push((std::mem::replace(&mut of, next.to_owned()), path));
        }
        Put { hops, value }
    }

    /// The enums and structs that it needs of a kernel.
    fn types(&self) -> impl Iterator<Item = &str> {
        let enums = self.value.split('+').filter_map(|term| Some(term.split_once("::")?.0));
        self.hops.iter().map(|(of, _)| of.as_str()).chain(enums)
    }
}

/// Every row's program, in one script.
fn script(library: &Library, rows: &[Row]) -> String {
    let mut script = String::new();
    for file in &library.files {
        let _ = writeln!(script, "import \"{}\";", file.name);
    }
    for row in rows {
        let (mirror, field) = row.read.split_once('.').unwrap();
        // The thread that runs is a pointer to whatever the row makes.
        let pointer = format!("$p = (struct {mirror} *)(u64)curtask;");
        let read = field.replace('@', "$p.");
        let read = if field.contains('@') { read } else { format!("$p.{read}") };
        let read = if row.expected.starts_with('"') { read } else { format!("(s64)({read})") };
        let _ = writeln!(script, "begin {{ {pointer} emit ({read}); }}");
    }
    script
}

fn compile(text: &str, endian: Endian) -> Vec<u8> {
    let mut sources = Sources::new();
    let root = sources.add("test.ub", text, Origin::User);
    let options = driver::Options {
        target: Target { endian, ..Target::default() },
        ..driver::Options::default()
    };
    let mut library = ubpfc::sema::imports::Library;
    let (output, diags) = driver::compile(&mut sources, root, &mut library, options);
    let told = || panic!("{}", ubpfc::diag::render(&sources, &diags, ubpfc::diag::Format::Short));
    output.unwrap_or_else(told).bytes
}

/// A kernel's memory.
struct World {
    image: KernelImage,
    big: bool,
}

impl World {
    /// The shape of the row that the kernel has, and what is at the ends of its paths.
    fn shape<'r>(&self, row: &'r Row) -> Option<(usize, &'r [Put], Vec<String>)> {
        row.shapes.iter().enumerate().find_map(|(index, puts)| {
            let forms: Option<Vec<String>> = puts.iter().map(|put| self.form(put)).collect();
            Some((index, puts.as_slice(), forms?))
        })
    }

    /// What is at the end of a path, if it is there; and enumerators likewise.
    fn form(&self, put: &Put) -> Option<String> {
        let mut form = String::new();
        for (of, path) in &put.hops {
            let place = self.image.find(of, &steps(path))?;
            form = format!("{path}: {:?} {}", place.ty, place.width);
        }
        let mut enumerators = put.value.split('+').filter_map(|term| term.split_once("::"));
        enumerators.all(|(of, name)| self.image.enumerator(of, name).is_some()).then_some(form)
    }

    /// Makes what the row describes; gives the pointer that is handed over.
    fn make(&mut self, row: &Row, puts: &[Put]) -> u64 {
        let object = self.image.object_and(&row.made, 64);
        let mut behind = BTreeMap::new();
        for put in puts {
            let mut base = object;
            for (at, (of, path)) in put.hops.iter().enumerate() {
                let Some((next, _)) = put.hops.get(at + 1) else {
                    self.put(base, of, path, put.value);
                    break;
                };
                let made =
                    *behind.entry((base, *path)).or_insert_with(|| self.image.object_and(next, 64));
                self.image.set(base, of, path, made);
                base = made;
            }
        }
        let offset = row
            .member
            .map_or(0, |member| self.image.find(&row.made, &steps(member)).unwrap().bit / 8);
        object + u64::from(offset)
    }

    fn put(&mut self, base: u64, of: &str, path: &str, value: &str) {
        if let Some(text) = value.strip_prefix('"') {
            let text = format!("{}\0", text.trim_end_matches('"'));
            if self.image.find(of, &steps(path)).unwrap().ty == KTy::Ptr {
                let at = self.image.bytes(text.as_bytes());
                self.image.set(base, of, path, at);
            } else {
                self.image.set_text(base, of, path, &text);
            }
            return;
        }
        let value = value.split('+').map(|term| self.term(term)).fold(0, u64::wrapping_add);
        self.image.set(base, of, path, value);
    }

    fn term(&self, term: &str) -> u64 {
        if let Some((of, name)) = term.split_once("::") {
            return self.image.enumerator(of, name).unwrap().cast_unsigned();
        }
        let (order, digits) = term.split_once(':').unwrap_or(("", term));
        let number = number(digits).cast_unsigned();
        match order {
            "be16" if !self.big => u64::from(u16::try_from(number).unwrap().swap_bytes()),
            "be32" if !self.big => u64::from(u32::try_from(number).unwrap().swap_bytes()),
            _ => number,
        }
    }
}

fn number(text: &str) -> i64 {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap().cast_signed(),
        None => text.parse().unwrap_or_else(|_| panic!("not a number: {text}")),
    }
}

fn steps(path: &str) -> Vec<KStep> {
    let parts = path.split(['.', '[']).map(|part| part.trim_end_matches(']'));
    parts.map(|p| p.parse().map_or_else(|_| KStep::Member(p.into()), KStep::Index)).collect()
}

/// What the program wrote, as the row spells it.
fn told(record: &[u8], row: &Row, big: bool) -> String {
    let value = &record[8..];
    if row.expected.starts_with('"') {
        let text = value.split(|byte| *byte == 0).next().unwrap();
        return format!("\"{}\"", String::from_utf8_lossy(text));
    }
    let word: [u8; 8] = value[..8].try_into().unwrap();
    let value = if big { i64::from_be_bytes(word) } else { i64::from_le_bytes(word) };
    if row.expected.starts_with("0x") { format!("{value:#x}") } else { value.to_string() }
}

fn own() -> impl Iterator<Item = &'static KernelTypes> {
    kernels::all().iter().filter(|kernel| kernel.path.starts_with(package("testdata/kernels")))
}

#[test]
fn kernels_of_different_shapes_give_the_same_value() {
    let library = Library::embedded();
    let rows = rows(&library);
    let text = script(&library, &rows);
    let analyzed = Script::new(&text).unwrap_or_else(|told| panic!("{told}"));
    let objects = [Endian::Little, Endian::Big].map(|endian| compile(&text, endian));
    let puts = || rows.iter().flat_map(|row| row.shapes.iter().flatten());
    let mut wanted: BTreeSet<&str> = puts().flat_map(Put::types).collect();
    wanted.extend(rows.iter().map(|row| row.made.as_str()));
    wanted.remove("");
    let mut wrong = String::new();
    let mut taken: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    let mut forms: BTreeMap<&str, BTreeSet<Vec<String>>> = BTreeMap::new();
    let (mut runs, mut seen) = (0, 0);
    for types in own() {
        seen += 1;
        let kernel = Kernel::from_bytes(&Places::default(), Path::new("k"), types.btf().to_vec());
        let kernel = kernel.unwrap();
        let mut btf = ubpfc::btf::Btf::parse(types.btf()).unwrap();
        btf.set_pointer_size(types.pointer_size());
        let big = btf.endian == Endian::Big;
        let mut world = World { image: KernelImage::of(&btf, &wanted), big };
        let relocated =
            relocate::relocate(&objects[usize::from(big)], &kernel, Options::default()).result;
        let relocated = relocated.unwrap_or_else(|why| panic!("{}: {why}", types.name));
        let object = Object::parse(&relocated).unwrap();
        for (row, program) in rows.iter().zip(analyzed.hir.programs.iter()) {
            let Some((index, puts, form)) = world.shape(row) else {
                let _ = writeln!(wrong, "{}: {} has no shape", types.name, row.read);
                continue;
            };
            taken.entry(row.read).or_default().insert(index);
            forms.entry(row.read).or_default().insert(form);
            let pointer = world.make(row, puts);
            let input = Input {
                image: &world.image,
                event: "",
                args: Vec::new(),
                env: Env { task: pointer, ..Env::default() },
                params: BTreeMap::new(),
            };
            let mut state = State::new(&analyzed.hir);
            vm::run_object(&analyzed.hir, &object, &program.name, &input, &mut state)
                .unwrap_or_else(|error| panic!("{}, {}: {error}", types.name, row.read));
            let [record] = state.records.as_slice() else { panic!("{}: no record", row.read) };
            let expected = if puts.is_empty() { "0" } else { row.expected };
            let found = told(record, row, big);
            if found != expected {
                let _ = writeln!(
                    wrong,
                    "{}: {} is {found} and not {expected} from {puts:?}",
                    types.name, row.read
                );
            }
            runs += 1;
        }
    }
    for row in &rows {
        for index in (0..row.shapes.len()).filter(|index| !taken[row.read].contains(index)) {
            let _ = writeln!(wrong, "{}: no kernel has shape {index}", row.read);
        }
    }
    let several = forms.values().filter(|forms| forms.len() > 1).count();
    let shapes: usize = taken.values().map(BTreeSet::len).sum();
    eprintln!(
        "{} rows on {seen} kernels: {runs} values; {shapes} shapes; {several} rows have several forms",
        rows.len()
    );
    assert!(wrong.is_empty(), "{wrong}");
    assert!(seen >= 11 && several >= 20, "{seen} kernels, {several} rows");
}
