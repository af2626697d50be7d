//! A script's HIR and code as the section describes them.

use super::super::code::event_section;
use super::super::flavor::Flavors;
use super::super::types;
use super::super::{maps, section_name};
use super::used::Used;
use super::{
    Action, Arg, Attach, Class, Constant, Culprit, Event, EventKind, Field, Form, KernelType, Map,
    MapValue, Mirror, MirrorField, Output, Param, Place, Program, Prototype, PrototypeArg, Reloc,
    Ring, Source, Type, Ubpf, VERSION,
};
use crate::bytes::fnv1a;
use crate::ir::{self, reloc::ArgRead};
use crate::isa::code::{Code, Function, RelocKind};
use crate::sema::hir::{self, ClassLevel, ConstValue, EnumeratorValue, Hir, KParamTy, OutputKind};
use crate::sema::layout::{self, Fields};
use crate::sema::types::{Pointee, Ty};
use crate::source::{Origin, Sources, Span};
use smol_str::SmolStr;

/// The section's text: JSON on one line, with a line end.
pub fn describe(hir: &Hir, code: &Code, sources: &Sources, flavors: &Flavors) -> String {
    let describer = Describer { hir, code, sources };
    describer.all(flavors).text()
}

struct Describer<'a> {
    hir: &'a Hir,
    code: &'a Code,
    sources: &'a Sources,
}

impl Describer<'_> {
    fn all(&self, flavors: &Flavors) -> Ubpf {
        let hir = self.hir;
        let ring = maps::has_ring(hir, self.code);
        Ubpf {
            version: VERSION,
            compiler: concat!("ubpfc ", env!("CARGO_PKG_VERSION")).into(),
            programs: hir
                .programs
                .iter()
                .zip(&self.code.programs)
                .enumerate()
                .map(|(index, (p, f))| self.program(index, p, f))
                .collect(),
            mirrors: self.mirrors(),
            events: self.events(flavors),
            maps: hir.maps.iter().map(|(_, map)| self.map(map)).collect(),
            ring: ring.then(|| Ring { name: maps::ring_name(hir).into(), bytes: hir.ring_bytes }),
            outputs: hir
                .outputs
                .iter()
                .zip(0..)
                .map(|((_, o), index)| self.output(o, index))
                .collect(),
            params: hir.params.iter().map(|(_, param)| self.param(param)).collect(),
            relocs: self.seen().flat_map(|f| self.relocs(f, flavors)).collect(),
            sources: self.sources.iter().map(|(_, file)| source(file)).collect(),
            compiled_for: None,
            target: None,
        }
    }

    fn place(&self, span: Span) -> Place {
        let at = self.sources.line_col(span);
        Place { file: self.sources.file(span.file).name.clone(), line: at.line, col: at.col }
    }

    fn text(&self, span: Span) -> String {
        self.sources.text(span).to_owned()
    }

    /// The functions that stock loaders see.
    fn seen(&self) -> impl Iterator<Item = &Function> {
        let programs = self.hir.programs.iter().zip(&self.code.programs);
        let programs = programs.filter(|(program, _)| !program.optional);
        programs.map(|(_, function)| function).chain(&self.code.callbacks)
    }

    fn program(&self, index: usize, program: &hir::Program, function: &Function) -> Program {
        let args = Used::args(self.hir, program);
        Program {
            name: function.name.to_string(),
            section: section_name(&program.attach).into_owned(),
            spec: self.text(program.span),
            at: self.place(program.span),
            attach: match &program.attach {
                hir::Attach::Event(event) => Attach::of(event.kind.into(), event.name.as_str()),
                hir::Attach::Once(hir::Once::Begin) => Attach::Begin,
                hir::Attach::Once(hir::Once::End) => Attach::End,
                hir::Attach::Interval(nanoseconds) => Attach::Interval(*nanoseconds),
                hir::Attach::Profile(nanoseconds) => Attach::Profile(*nanoseconds),
                hir::Attach::SocketFilter => Attach::SocketFilter,
            },
            class: match program.class.level {
                ClassLevel::Abi => Class::Abi,
                ClassLevel::Private => Class::Private,
                ClassLevel::NotAbi => Class::NotAbi,
            },
            culprit: program.class.culprit.as_ref().map(|culprit| Culprit {
                at: self.place(culprit.span),
                text: self.text(culprit.span),
                why: culprit.why.clone(),
            }),
            insns: function.insns.len(),
            frame: function.frame_bytes,
            optional: program.optional,
            forms: self.forms(index, program, function, &args),
            args: args.iter().map(arg).collect(),
        }
    }

    /// The forms of a program: the first, then those that are set aside.
    fn forms(
        &self,
        index: usize,
        program: &hir::Program,
        function: &Function,
        args: &[ArgRead],
    ) -> Vec<Form> {
        let first = ir::Form::of(self.hir, program, index).into_iter().take(1).collect::<Vec<_>>();
        let first = first.iter().map(|form| (form, function, program.optional));
        let others = self.code.others.iter().filter(|(form, _)| form.program == index);
        let others = others.map(|(form, function)| (form, function, true));
        let form = |(form, function, aside): (&ir::Form, &Function, bool)| Form {
            section: event_section(&form.event, form.typed),
            kind: form.event.kind.into(),
            event: form.event.name.to_string(),
            btf: form.typed,
            aside,
            insns: function.insns.len(),
            frame: function.frame_bytes,
            places: self.places(form, args),
            reads: self.reads(function, args),
        };
        first.chain(others).map(form).collect()
    }

    /// Where a form for a prototype of a function has its arguments.
    fn places(&self, form: &ir::Form, args: &[ArgRead]) -> Vec<Option<u32>> {
        let Some(prototype) = form.prototype.map(|id| &self.hir.prototypes[id]) else {
            return Vec::new();
        };
        let place = |arg: &ArgRead| prototype.place(form.event.kind, &arg.names);
        args.iter().map(|arg| place(arg).map(|(index, _)| index)).collect()
    }

    fn reads(&self, function: &Function, args: &[ArgRead]) -> Vec<super::ArgRead> {
        let reads = function.relocs.iter().filter_map(|reloc| {
            let RelocKind::Arg(id) = &reloc.kind else { return None };
            let wanted = self.code.args.get(*id);
            let arg = args.iter().position(|arg| arg == wanted)?;
            Some(super::ArgRead { insn: reloc.insn.0, arg })
        });
        reads.collect()
    }

    fn mirrors(&self) -> Vec<Mirror> {
        let used = Used::of(self.hir).fields.into_iter();
        used.map(|(id, fields)| {
            let mirror = &self.hir.mirrors[id];
            let fields = fields.into_iter().filter_map(|index| mirror.fields.get(index as usize));
            Mirror {
                name: mirror.name.to_string(),
                kernel: mirror.kernel.to_string(),
                locked: mirror.locked,
                at: self.place(mirror.span),
                fields: fields.map(|field| self.mirror_field(field)).collect(),
            }
        })
        .collect()
    }

    fn mirror_field(&self, field: &hir::MirrorField) -> MirrorField {
        MirrorField {
            name: field.name.to_string(),
            ty: self.ty(&field.ty),
            optional: field.optional,
            alternatives: field.alternatives.iter().map(|expr| self.text(expr.span)).collect(),
            at: self.place(field.span),
        }
    }

    fn events(&self, flavors: &Flavors) -> Vec<Event> {
        let mut events: Vec<&hir::Event> = Vec::new();
        for event in self.hir.programs.iter().flat_map(hir::Program::events) {
            if !events.contains(&event) {
                events.push(event);
            }
        }
        let argument = |param: &hir::PrototypeParam| PrototypeArg {
            name: param.name.to_string(),
            ty: kernel_type(&param.ty),
        };
        let event = |event: &hir::Event| {
            let known = self.hir.prototypes.iter().filter(|(_, known)| known.is_of(event));
            let prototype = |(id, prototype): (hir::PrototypeId, &hir::Prototype)| Prototype {
                typedef: flavors.prototype(id).map(ToString::to_string),
                args: prototype.params.iter().map(argument).collect(),
                ret: match &prototype.kind {
                    hir::PrototypeKind::Tracepoint => None,
                    hir::PrototypeKind::Function(ret) => Some(kernel_type(ret)),
                },
            };
            Event {
                kind: event.kind.into(),
                name: event.name.to_string(),
                prototypes: known.map(prototype).collect(),
            }
        };
        events.into_iter().map(event).collect()
    }

    fn map(&self, map: &hir::Map) -> Map {
        let key = layout::map_key(map);
        let parts: &[Ty] =
            if let Ty::Tuple(parts) = &key { parts } else { std::slice::from_ref(&key) };
        let offsets = layout::fields(self.hir, parts).offsets;
        let bucket =
            matches!(map.value, hir::MapValue::Agg(hir::Agg::Hist | hir::Agg::Lhist { .. }));
        // A key that is itself a tuple is one part, but looks like several.
        let key_fields = if map.key.len() == 1 && !bucket {
            self.fields([SmolStr::default()].iter(), &map.key, &[0])
        } else {
            self.fields(std::iter::repeat(&SmolStr::default()), &map.key, &offsets)
        };
        Map {
            name: map.name.to_string(),
            kind: kind_name(map.kind).into(),
            max_entries: map.max_entries,
            key: key_fields,
            key_size: layout::of(self.hir, &key).size,
            bucket_offset: offsets.last().copied().filter(|_| bucket),
            value: self.map_value(&map.value),
            value_size: layout::map_value_size(self.hir, map),
            at: self.place(map.span),
        }
    }

    fn map_value(&self, value: &hir::MapValue) -> MapValue {
        use hir::Agg;
        match value {
            hir::MapValue::Plain(ty) => MapValue::Plain(self.ty(&layout::stored(ty))),
            hir::MapValue::Agg(agg) => match *agg {
                Agg::Count => MapValue::Count,
                Agg::Sum { signed } => MapValue::Sum { signed },
                Agg::Min { signed } => MapValue::Min { signed },
                Agg::Max { signed } => MapValue::Max { signed },
                Agg::Avg { signed } => MapValue::Avg { signed },
                Agg::Stats { signed } => MapValue::Stats { signed },
                Agg::Hist => MapValue::Hist,
                Agg::Lhist { min, max, step } => MapValue::Lhist { min, max, step },
            },
        }
    }

    fn output(&self, output: &hir::Output, index: usize) -> Output {
        let Fields { offsets, size, .. } = layout::record(self.hir, &output.args);
        let map = |id: &hir::MapId| self.hir.maps[*id].name.to_string();
        Output {
            action: match &output.kind {
                OutputKind::Printf(format) => Action::Printf(format.to_string()),
                OutputKind::Print => Action::Print,
                OutputKind::PrintMap(id) => Action::PrintMap(map(id)),
                OutputKind::Clear(id) => Action::Clear(map(id)),
                OutputKind::Zero(id) => Action::Zero(map(id)),
                OutputKind::Time(format) => Action::Time(format.to_string()),
                OutputKind::Emit => Action::Emit(types::record_name(index).into()),
                OutputKind::Exit => Action::Exit,
            },
            size,
            args: self.fields(std::iter::repeat(&SmolStr::default()), &output.args, &offsets),
            at: self.place(output.span),
        }
    }

    fn param(&self, param: &hir::Param) -> Param {
        let var = self.code.rodata.vars.iter().find(|var| var.name == param.name);
        Param {
            name: param.name.to_string(),
            ty: self.ty(&param.ty),
            offset: var.map(|var| var.offset),
            default: match &param.default {
                ConstValue::Int(value) => Constant::Int(*value),
                ConstValue::Str(text) => Constant::Str(text.to_string()),
            },
            doc: param.doc.clone(),
            at: self.place(param.span),
        }
    }

    fn relocs(&self, function: &Function, flavors: &Flavors) -> Vec<Reloc> {
        let relocs = function.relocs.iter().filter_map(|reloc| {
            let RelocKind::Core(core) = &reloc.kind else { return None };
            let question = flavors.question(core);
            Some(Reloc {
                function: function.name.to_string(),
                insn: reloc.insn.0,
                question: question.kind.name().into(),
                path: question.path.clone(),
                at: self.place(function.span_of(reloc.insn)?),
            })
        });
        relocs.collect()
    }

    fn fields<'n>(
        &self,
        names: impl Iterator<Item = &'n SmolStr>,
        types: &[Ty],
        offsets: &[u32],
    ) -> Vec<Field> {
        let fields = names.zip(types).zip(offsets).map(|((name, ty), offset)| Field {
            name: name.to_string(),
            offset: *offset,
            ty: self.ty(ty),
        });
        fields.collect()
    }

    fn ty(&self, ty: &Ty) -> Type {
        let hir = self.hir;
        match ty {
            Ty::Error | Ty::Void => Type::Void,
            Ty::Bool => Type::Bool,
            Ty::Int(int) => Type::Int { size: int.size(), signed: int.signed },
            Ty::Enum(id) => {
                let data = &hir.enums[*id];
                let values =
                    data.enumerators.iter().filter_map(|enumerator| match enumerator.value {
                        EnumeratorValue::Const(value) => Some((enumerator.name.to_string(), value)),
                        EnumeratorValue::Kernel { .. } => None,
                    });
                let (name, values) = (data.name.to_string(), values.collect());
                Type::Enum { name, size: data.repr.size(), signed: data.repr.signed, values }
            }
            Ty::Str(size) => Type::Str { size: *size },
            Ty::Array(elem, len) => Type::Array { elem: Box::new(self.ty(elem)), len: *len },
            Ty::Tuple(parts) => {
                let Fields { offsets, size, .. } = layout::fields(hir, parts);
                let fields = self.fields(std::iter::repeat(&SmolStr::default()), parts, &offsets);
                Type::Struct { name: String::new(), size, fields }
            }
            Ty::Struct(id) => {
                let data = &hir.structs[*id];
                let fields = data.fields.iter().map(|field| (&field.name, field.offset, &field.ty));
                self.composite(&data.name, data.size, fields)
            }
            Ty::Mirror(id) => {
                let mirror = &hir.mirrors[*id];
                let fields =
                    mirror.fields.iter().map(|field| (&field.name, field.offset, &field.ty));
                self.composite(&mirror.name, mirror.size, fields)
            }
            Ty::Ptr(pointee) => Type::Ptr { to: self.pointee(pointee) },
        }
    }

    fn composite<'t>(
        &self,
        name: &SmolStr,
        size: u32,
        fields: impl Iterator<Item = (&'t SmolStr, u32, &'t Ty)>,
    ) -> Type {
        let field = |(name, offset, ty): (&SmolStr, u32, &Ty)| Field {
            name: name.to_string(),
            offset,
            ty: self.ty(ty),
        };
        Type::Struct { name: name.to_string(), size, fields: fields.map(field).collect() }
    }

    fn pointee(&self, pointee: &Pointee) -> String {
        match pointee {
            Pointee::Mirror(id) => format!("struct {}", self.hir.mirrors[*id].name),
            Pointee::Kernel(name) => format!("struct {name}"),
            Pointee::UserStr => "user char".into(),
            Pointee::User(_) => "user memory".into(),
        }
    }
}

/// The name of a kind of map in the language.
fn kind_name(kind: hir::MapKind) -> &'static str {
    match kind {
        hir::MapKind::Hash => "hash",
        hir::MapKind::LruHash => "lruhash",
        hir::MapKind::PerCpuHash => "percpuhash",
        hir::MapKind::Array => "array",
        hir::MapKind::PerCpuArray => "percpuarray",
    }
}

impl From<hir::EventKind> for EventKind {
    fn from(kind: hir::EventKind) -> EventKind {
        match kind {
            hir::EventKind::Tracepoint => EventKind::Tracepoint,
            hir::EventKind::Fentry => EventKind::Fentry,
            hir::EventKind::Fexit => EventKind::Fexit,
            hir::EventKind::Kprobe => EventKind::Kprobe,
            hir::EventKind::Kretprobe => EventKind::Kretprobe,
        }
    }
}

fn arg(wanted: &ArgRead) -> Arg {
    let names = wanted.names.iter().map(ToString::to_string).collect();
    Arg { names, ty: kernel_type(&wanted.ty), optional: wanted.optional, long: wanted.long }
}

fn kernel_type(ty: &KParamTy) -> KernelType {
    match ty {
        KParamTy::Int(int) => KernelType::Int { size: int.size(), signed: int.signed, long: false },
        KParamTy::Long { signed } => KernelType::Int { size: 8, signed: *signed, long: true },
        KParamTy::Enum(name) => KernelType::Enum(name.to_string()),
        KParamTy::Struct(name) => KernelType::Struct(name.to_string()),
        KParamTy::Union(name) => KernelType::Union(name.to_string()),
        KParamTy::Void => KernelType::Void,
        KParamTy::Func { .. } => KernelType::Func,
        KParamTy::Ptr(to) => KernelType::Ptr(Box::new(kernel_type(to))),
    }
}

fn source(file: &crate::source::SourceFile) -> Source {
    let hash = fnv1a(file.text.as_bytes());
    Source {
        name: file.name.clone(),
        library: file.origin == Origin::Uapi,
        size: file.text.len(),
        fnv1a: format!("{hash:016x}"),
    }
}
