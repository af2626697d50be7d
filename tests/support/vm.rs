//! Runs machine code in rbpf, with the kernel's helpers over the same state as the evaluator's.
//!
//! In: a program's code, a kernel image, arguments, the state before. Out: the state after, or what rbpf had against it. Addresses are those of this process; only
//! the frame, map values, records, constants, the context and the image can be reached.

use super::eval::Input;
use super::legalize::{EMULATE, ENTER, Memory, SCRATCH, emulate, legalize};
use super::link::linked;
use super::relocate::{CALLBACK_BASE, MAP_BASE, RING, relocate};
use super::state::{State, entry_size, is_array};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use ubpfc::isa::code::{Code, Function, Insn};
use ubpfc::object::read::Object;
use ubpfc::sema::hir::{Attach, ConstValue, Hir};
use ubpfc::target::Endian;

/// What map values and records are made of before anything is written: not zero, so that a byte left out shows.
const DIRT: u8 = 0xaa;
const ARENA: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
struct MapShape {
    key: usize,
    value: usize,
    max: usize,
    array: bool,
}

/// What helpers work on while a program runs.
struct Machine {
    shapes: Vec<MapShape>,
    /// Keys, and where the values are.
    maps: Vec<BTreeMap<Vec<u8>, u64>>,
    records: Vec<Vec<u8>>,
    reserved: Vec<Range<u64>>,
    arena: Box<[u8]>,
    used: usize,
    readable: Vec<Range<u64>>,
    frames: Vec<Range<u64>>,
    /// Whether a bad address reads as 0, as in programs whose pointers the kernel knows by type.
    forgiving: bool,
    /// The byte order of memory.
    endian: Endian,
    emulated: Vec<Insn>,
    callbacks: Vec<Vec<Insn>>,
    env: super::state::Env,
    image: Range<u64>,
    context: Range<u64>,
    error: Option<String>,
}

thread_local! {
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

fn with<T>(f: impl FnOnce(&mut Machine) -> T) -> T {
    MACHINE.with_borrow_mut(|m| f(m.as_mut().expect("a program is running")))
}

/// Runs one program; gives what it returns.
pub fn run(
    hir: &Hir,
    code: &Code,
    index: usize,
    input: &Input,
    state: &mut State,
) -> Result<u64, String> {
    let typed = matches!(hir.programs[index].attach, Attach::Event(_));
    run_form(hir, code, &code.programs[index], typed, input, state)
}

/// Runs a program in one of its forms: with arguments that the kernel knows the types of, or not.
pub fn run_form(
    hir: &Hir,
    code: &Code,
    function: &Function,
    typed: bool,
    input: &Input,
    state: &mut State,
) -> Result<u64, String> {
    let link = |rodata: u64| {
        let relocated = |function: &Function| relocate(hir, code, function, input, rodata);
        Ok(Linked {
            insns: relocated(function),
            callbacks: code.callbacks.iter().map(relocated).collect(),
            frame: function.frame_bytes,
        })
    };
    run_linked(hir, &rodata(code, &input.params), link, Endian::Little, typed, input, state)
}

/// Runs a program of a relocated object.
pub fn run_object(
    hir: &Hir,
    object: &Object<'_>,
    name: &str,
    input: &Input,
    state: &mut State,
) -> Result<u64, String> {
    let ubpf = object.ubpf().unwrap().unwrap();
    let program = ubpf.programs.iter().find(|p| p.name == name);
    let program = program.ok_or_else(|| format!("there is no program {name}"))?;
    let typed = ["tp_btf/", "fentry/", "fexit/"];
    let typed = typed.iter().any(|prefix| program.section.starts_with(prefix));
    let mut rodata = object.section(".rodata").map_or(Vec::new(), |s| s.data.to_vec());
    for param in &ubpf.params {
        let value = input.params.get(param.name.as_str());
        if let (Some(at), Some(ConstValue::Int(value))) = (param.offset, value) {
            let ubpfc::object::ubpf::Type::Int { size, .. } = param.ty else { continue };
            let size = size as usize;
            rodata[at as usize..at as usize + size].copy_from_slice(&value.to_le_bytes()[..size]);
        }
    }
    let link = |rodata| linked(hir, object, &program.section, name, program.frame, rodata);
    run_linked(hir, &rodata, link, object.endian, typed, input, state)
}

/// Code with all addresses filled in.
pub(super) struct Linked {
    pub(super) insns: Vec<Insn>,
    pub(super) callbacks: Vec<Vec<Insn>>,
    pub(super) frame: u32,
}

/// Runs what `link` makes of the address of constants.
fn run_linked(
    hir: &Hir,
    rodata: &[u8],
    link: impl FnOnce(u64) -> Result<Linked, String>,
    endian: Endian,
    typed: bool,
    input: &Input,
    state: &mut State,
) -> Result<u64, String> {
    let word = |word: &u64| match endian {
        Endian::Little => word.to_le_bytes(),
        Endian::Big => word.to_be_bytes(),
    };
    let mut context: Vec<u8> = input.args.iter().flat_map(word).collect();
    context.resize(context.len().max(12 * 8), 0);
    let Linked { insns, callbacks, frame } = link(range(rodata).start)?;
    fits(frame)?;
    let machine = Machine {
        shapes: shapes(hir),
        maps: vec![BTreeMap::new(); hir.maps.len()],
        records: std::mem::take(&mut state.records),
        reserved: Vec::new(),
        arena: vec![DIRT; ARENA].into(),
        used: 0,
        readable: vec![range(rodata), range(&context), input.image.addresses()],
        frames: Vec::new(),
        forgiving: typed,
        endian,
        emulated: Vec::new(),
        callbacks,
        env: input.env.clone(),
        image: input.image.addresses(),
        context: range(&context),
        error: None,
    };
    MACHINE.set(Some(machine));
    with(|m| m.fill(state));
    let result = execute(&insns, 1, &context);
    let machine = MACHINE.take().expect("it ran").empty(state);
    state.settle(hir);
    let result = result?;
    machine.error.map_or(Ok(result), Err)
}

fn fits(frame: u32) -> Result<(), String> {
    let fits = frame + SCRATCH <= 512;
    fits.then_some(()).ok_or_else(|| "its frame leaves no room for what rbpf lacks".into())
}

fn range(bytes: &[u8]) -> Range<u64> {
    bytes.as_ptr() as u64..bytes.as_ptr() as u64 + bytes.len() as u64
}

/// The constants, with the parameters that the loader sets.
pub fn rodata(code: &Code, params: &BTreeMap<String, ConstValue>) -> Vec<u8> {
    let mut bytes = code.rodata.bytes.clone();
    for var in &code.rodata.vars {
        let Some(value) = params.get(var.name.as_str()) else { continue };
        let at = var.offset as usize..(var.offset + var.size) as usize;
        match value {
            ConstValue::Int(n) => bytes[at].copy_from_slice(&n.to_le_bytes()[..var.size as usize]),
            ConstValue::Str(text) => {
                bytes[at.clone()].fill(0);
                bytes[at.start..at.start + text.len()].copy_from_slice(text.as_bytes());
            }
        }
    }
    bytes
}

fn shapes(hir: &Hir) -> Vec<MapShape> {
    let shape = |map: &ubpfc::sema::hir::Map| {
        let (key, value) = entry_size(hir, map);
        MapShape { key, value, max: map.max_entries as usize, array: is_array(map) }
    };
    hir.maps.iter().map(|(_, map)| shape(map)).collect()
}

/// Runs code with `args` arguments in registers; with more than one, the context holds them.
fn execute(insns: &[Insn], args: u8, context: &[u8]) -> Result<u64, String> {
    let (code, emulated) = legalize(insns, args, with(|m| m.endian))?;
    let bytes: Vec<u8> = code.iter().flat_map(|i| i.encode(Endian::Little)).collect();
    let outer = with(|m| std::mem::replace(&mut m.emulated, emulated));
    let vm = rbpf::EbpfVmMbuff::new(Some(&bytes)).map_err(|e| e.to_string());
    let result = vm.and_then(|mut vm| {
        for (number, helper) in HELPERS {
            vm.register_helper(*number, *helper).map_err(|e| e.to_string())?;
        }
        vm.register_allowed_memory(with(|m| range(&m.arena)));
        for frame in with(|m| m.frames.clone()) {
            vm.register_allowed_memory(frame);
        }
        vm.execute_program(&[], context).map_err(|e| e.to_string())
    });
    with(|m| {
        m.emulated = outer;
        m.frames.pop();
    });
    result
}

type Entry = (u32, rbpf::Helper);

macro_rules! helpers {
    ($($number:literal)*) => { &[$(($number, helper::<$number>)),*] };
}

/// Every helper by number: those of the kernel, then our own.
const HELPERS: &[Entry] = &{
    const KERNEL: &[Entry] =
        helpers!(1 2 3 5 7 8 14 15 16 26 35 68 80 112 113 114 115 125 130 131 132 133);
    let mut all = [(0, for_each as rbpf::Helper); KERNEL.len() + 3];
    let mut i = 0;
    while i < KERNEL.len() {
        all[i] = KERNEL[i];
        i += 1;
    }
    all[i] = (164, for_each);
    all[i + 1] = (EMULATE as u32, emulated);
    all[i + 2] = (ENTER as u32, enter);
    all
};

#[expect(clippy::many_single_char_names, reason = "the arguments of a call")]
fn helper<const NUMBER: u32>(a: u64, b: u64, c: u64, d: u64, e: u64) -> u64 {
    with(|m| m.call(NUMBER, [a, b, c, d, e])).cast_unsigned()
}

fn emulated(dst: u64, src: u64, index: u64, _: u64, _: u64) -> u64 {
    with(|m| {
        let insn = m.emulated[usize::try_from(index).expect("an index")];
        emulate(insn, dst, src, m)
    })
}

fn enter(frame: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    with(|m| m.frames.push(frame - 512..frame));
    0
}

/// Calls a function for each entry: it is code of the object, so the machine is not held meanwhile.
fn for_each(map: u64, callback: u64, context: u64, _: u64, _: u64) -> u64 {
    let (code, entries) = with(|m| {
        let code =
            m.callbacks[usize::try_from(callback - CALLBACK_BASE).expect("a callback")].clone();
        let index = m.map(map);
        let entries: Vec<(Vec<u8>, u64)> = m.maps[index].clone().into_iter().collect();
        (code, entries)
    });
    let mut calls = 0;
    for (key, value) in entries {
        let key_at = with(|m| m.place(&key));
        let words: Vec<u8> =
            [map, key_at, value, context].iter().flat_map(|w| w.to_le_bytes()).collect();
        with(|m| m.readable.push(range(&words)));
        let result = execute(&code, 4, &words);
        with(|m| m.readable.pop());
        calls += 1;
        match result {
            Ok(0) => {}
            Ok(_) => break,
            Err(error) => with(|m| m.error = Some(error)),
        }
    }
    calls
}

const ENOENT: i64 = -2;
const E2BIG: i64 = -7;
const EFAULT: i64 = -14;
const EEXIST: i64 = -17;
const EINVAL: i64 = -22;

impl Machine {
    #[expect(clippy::many_single_char_names, reason = "the arguments of a call")]
    fn call(&mut self, number: u32, [a, b, c, d, e]: [u64; 5]) -> i64 {
        let size = |n: u64| usize::try_from(n).expect("a size");
        match number {
            1 => self.lookup(a, b).cast_signed(),
            2 => self.update(a, b, c, d),
            3 => self.delete(a, b),
            5 | 125 => self.env.nsecs.cast_signed(),
            7 => self.env.rand.into(),
            8 => self.env.cpu.into(),
            14 => self.env.pid_tgid.cast_signed(),
            15 => self.env.uid_gid.cast_signed(),
            16 => {
                let comm = self.env.comm;
                self.write(a, &comm[..size(b).min(16)]);
                0
            }
            26 => self.load_bytes(0, b, c, size(d)),
            35 => self.env.task.cast_signed(),
            68 => {
                let header = if e == 1 { self.env.packet.1 } else { 0 };
                self.load_bytes(header, b, c, size(d))
            }
            80 => self.env.cgroup.cast_signed(),
            112 | 113 => self.probe_read(a, size(b), c),
            114 | 115 => self.probe_read_str(a, size(b), c),
            130 => self.output(a, b, size(c)),
            131 => self.reserve(a, size(b)).cast_signed(),
            132 | 133 => self.submit(a, number == 132),
            _ => unreachable!("not in the table"),
        }
    }

    fn fail(&mut self, error: String) {
        self.error.get_or_insert(error);
    }

    fn map(&mut self, handle: u64) -> usize {
        let index = usize::try_from(handle.wrapping_sub(MAP_BASE)).unwrap_or(usize::MAX);
        if index >= self.maps.len() {
            self.fail(format!("{handle:#x} is no map"));
            return 0;
        }
        index
    }

    /// Puts bytes where programs can write to them.
    fn place(&mut self, bytes: &[u8]) -> u64 {
        let at = self.used.next_multiple_of(8);
        self.arena[at..at + bytes.len()].copy_from_slice(bytes);
        self.used = at + bytes.len();
        self.arena.as_ptr() as u64 + at as u64
    }

    fn lookup(&mut self, map: u64, key: u64) -> u64 {
        let map = self.map(map);
        let shape = self.shapes[map];
        let key = self.read(key, shape.key);
        if let Some(value) = self.maps[map].get(&key) {
            return *value;
        }
        if !shape.array || index(&key) >= shape.max {
            return 0;
        }
        let value = self.place(&vec![0; shape.value]);
        self.maps[map].insert(key, value);
        value
    }

    fn update(&mut self, map: u64, key: u64, value: u64, flags: u64) -> i64 {
        let handle = map;
        let map = self.map(map);
        let shape = self.shapes[map];
        let value = self.read(value, shape.value);
        let old = self.lookup(handle, key);
        match (old, flags) {
            (0, 2) => return ENOENT,
            (1.., 1) => return EEXIST,
            (1.., _) => self.write(old, &value),
            (0, _) if shape.array || self.maps[map].len() >= shape.max => return E2BIG,
            (0, _) => {
                let key = self.read(key, shape.key);
                let value = self.place(&value);
                self.maps[map].insert(key, value);
            }
        }
        0
    }

    fn delete(&mut self, map: u64, key: u64) -> i64 {
        let map = self.map(map);
        let key = self.read(key, self.shapes[map].key);
        if self.shapes[map].array {
            return EINVAL;
        }
        self.maps[map].remove(&key).map_or(ENOENT, |_| 0)
    }

    /// Bytes of the packet, or zeros where it has them not.
    fn load_bytes(&mut self, header: usize, offset: u64, to: u64, size: usize) -> i64 {
        let at = usize::try_from(offset & 0xffff_ffff).expect("32 bits") + header;
        let bytes = self.env.packet.0.get(at..at + size).map(<[u8]>::to_vec);
        let there = bytes.is_some();
        self.write(to, &bytes.unwrap_or_else(|| vec![0; size]));
        if there { 0 } else { EFAULT }
    }

    fn probe_read(&mut self, to: u64, size: usize, from: u64) -> i64 {
        let there = self.kernel(from, size);
        let bytes = if there { self.read(from, size) } else { vec![0; size] };
        self.write(to, &bytes);
        if there { 0 } else { EFAULT }
    }

    /// Copies text with its NUL and leaves what is beyond it as it was.
    fn probe_read_str(&mut self, to: u64, size: usize, from: u64) -> i64 {
        if size == 0 {
            return 0;
        }
        let mut text = Vec::new();
        while text.len() + 1 < size {
            let at = from.wrapping_add(text.len() as u64);
            if !self.kernel(at, 1) {
                self.write(to, &vec![0; size]);
                return EFAULT;
            }
            match self.read(at, 1)[0] {
                0 => break,
                byte => text.push(byte),
            }
        }
        text.push(0);
        self.write(to, &text);
        i64::try_from(text.len()).expect("short")
    }

    fn output(&mut self, ring: u64, data: u64, size: usize) -> i64 {
        let record = self.reserve(ring, size);
        let bytes = self.read(data, size);
        self.write(record, &bytes);
        self.submit(record, true)
    }

    fn reserve(&mut self, ring: u64, size: usize) -> u64 {
        if ring != RING {
            self.fail(format!("{ring:#x} is not the ring buffer"));
        }
        let at = self.place(&vec![DIRT; size]);
        self.reserved.push(at..at + size as u64);
        at
    }

    fn submit(&mut self, record: u64, keep: bool) -> i64 {
        let Some(at) = self.reserved.iter().position(|r| r.start == record) else {
            self.fail("it submits a record that it has not reserved".into());
            return 0;
        };
        let range = self.reserved.remove(at);
        if keep {
            let bytes = self.read(range.start, usize::try_from(range.end - range.start).unwrap());
            self.records.push(bytes);
        }
        0
    }

    /// Whether that is kernel memory, of which the stack and the context are a part.
    fn kernel(&self, addr: u64, size: usize) -> bool {
        self.frames.iter().chain([&self.image, &self.context]).any(|r| covers(r, addr, size))
    }

    fn readable(&self, addr: u64, size: usize) -> bool {
        let arena = range(&self.arena);
        self.readable.iter().chain(&self.frames).chain([&arena]).any(|r| covers(r, addr, size))
    }

    #[allow(unsafe_code, reason = "addresses are numbers to machine code")]
    fn read(&mut self, addr: u64, size: usize) -> Vec<u8> {
        if !self.readable(addr, size) {
            self.fail(format!("{size} bytes at {addr:#x} cannot be read"));
            return vec![0; size];
        }
        let mut bytes = vec![0; size];
        // SAFETY: the range is in memory that outlives the run and that nothing else uses meanwhile.
        unsafe { std::ptr::copy_nonoverlapping(addr as *const u8, bytes.as_mut_ptr(), size) };
        bytes
    }

    #[allow(unsafe_code, reason = "addresses are numbers to machine code")]
    fn write(&mut self, addr: u64, bytes: &[u8]) {
        let arena = range(&self.arena);
        if !self.frames.iter().chain([&arena]).any(|r| covers(r, addr, bytes.len())) {
            return self.fail(format!("{} bytes at {addr:#x} cannot be written", bytes.len()));
        }
        // SAFETY: the range is in the arena or in a frame of rbpf's, which live while the program runs.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), addr as *mut u8, bytes.len()) };
    }

    fn fill(&mut self, state: &State) {
        for (index, map) in state.maps.iter().enumerate() {
            for (key, value) in map {
                let at = self.place(value);
                self.maps[index].insert(key.clone(), at);
            }
        }
    }

    fn empty(mut self, state: &mut State) -> Self {
        if !self.reserved.is_empty() {
            self.fail("it leaves a record reserved".into());
        }
        for (index, map) in std::mem::take(&mut self.maps).into_iter().enumerate() {
            let size = self.shapes[index].value;
            state.maps[index] = map.into_iter().map(|(k, at)| (k, self.read(at, size))).collect();
        }
        state.records = std::mem::take(&mut self.records);
        self
    }
}

impl Memory for Machine {
    fn load(&mut self, addr: u64, bytes: u32) -> u64 {
        if self.forgiving && !self.readable(addr, bytes as usize) {
            return 0;
        }
        let mut word = [0; 8];
        let mut read = self.read(addr, bytes as usize);
        if self.endian == Endian::Big {
            read.reverse();
        }
        word[..read.len()].copy_from_slice(&read);
        u64::from_le_bytes(word)
    }

    fn store(&mut self, addr: u64, bytes: u32, value: u64) {
        let mut word = value.to_le_bytes();
        let word = &mut word[..bytes as usize];
        if self.endian == Endian::Big {
            word.reverse();
        }
        self.write(addr, word);
    }
}

fn covers(range: &Range<u64>, addr: u64, size: usize) -> bool {
    range.start <= addr && addr.checked_add(size as u64).is_some_and(|end| end <= range.end)
}

fn index(key: &[u8]) -> usize {
    key.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b))
}
