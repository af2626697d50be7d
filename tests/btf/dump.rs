//! Every type of every kernel, as bpftool shows it, and as the crate `btf` reads it.

use super::support;
use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;
use support::kernels;
use ubpfc::btf::{Btf, Type, kind};

/// A type as `bpftool btf dump format raw` shows it.
fn show(types: &Btf<'_>, ty: &Type<&str>, linkage: u32) -> String {
    let named = |kind: &str| match ty.name() {
        "" => format!("{kind} '(anon)'"),
        name => format!("{kind} '{name}'"),
    };
    let item = |name: &str| if name.is_empty() { "(anon)".to_owned() } else { name.to_owned() };
    match ty {
        Type::Void => "VOID".into(),
        Type::Int { bytes, bits, bit_offset, encoding, .. } => {
            let encoding = ["(none)", "SIGNED", "CHAR", "", "BOOL"][usize::from(*encoding)];
            let int = named("INT");
            format!(
                "{int} size={bytes} bits_offset={bit_offset} nr_bits={bits} encoding={encoding}"
            )
        }
        Type::Ptr(to) => format!("PTR '(anon)' type_id={}", to.0),
        Type::Array { elem, index, len } => {
            let (elem, index) = (elem.0, index.0);
            format!("ARRAY '(anon)' type_id={elem} index_type_id={index} nr_elems={len}")
        }
        Type::Composite { union, size, members, .. } => {
            let kind = named(if *union { "UNION" } else { "STRUCT" });
            let mut out = format!("{kind} size={size} vlen={}", members.len());
            for m in members {
                let (name, ty, at) = (item(m.name), m.ty.0, m.bit_offset);
                write!(out, "\n\t'{name}' type_id={ty} bits_offset={at}").unwrap();
                if m.bit_width != 0 {
                    write!(out, " bitfield_size={}", m.bit_width).unwrap();
                }
            }
            out
        }
        Type::Enum { size, signed, wide, values, .. } => {
            let kind = named(if *wide { "ENUM64" } else { "ENUM" });
            let encoding = if *signed { "SIGNED" } else { "UNSIGNED" };
            let count = values.len();
            let mut out = format!("{kind} encoding={encoding} size={size} vlen={count}");
            for (name, value) in values {
                let wide = if *wide { if *signed { "LL" } else { "ULL" } } else { "" };
                let number = if *signed { value.cast_signed().into() } else { i128::from(*value) };
                write!(out, "\n\t'{name}' val={number}{wide}").unwrap();
            }
            out
        }
        Type::Fwd { union, .. } => {
            format!("{} fwd_kind={}", named("FWD"), if *union { "union" } else { "struct" })
        }
        Type::Typedef { ty, .. } => format!("{} type_id={}", named("TYPEDEF"), ty.0),
        Type::Modifier { kind, ty } => {
            let kind = match *kind {
                kind::CONST => "CONST",
                kind::VOLATILE => "VOLATILE",
                _ => "RESTRICT",
            };
            format!("{kind} '(anon)' type_id={}", ty.0)
        }
        Type::Func { proto, .. } => {
            let linkage = ["static", "global", "extern"][linkage as usize];
            format!("{} type_id={} linkage={linkage}", named("FUNC"), proto.0)
        }
        Type::FuncProto { ret, params } => {
            let mut out =
                format!("FUNC_PROTO '(anon)' ret_type_id={} vlen={}", ret.0, params.len());
            for (name, ty) in params {
                write!(out, "\n\t'{}' type_id={}", item(name), ty.0).unwrap();
            }
            out
        }
        Type::Var { ty, linkage, .. } => {
            let linkage = ["static", "global", "extern"][*linkage as usize];
            format!("{} type_id={}, linkage={linkage}", named("VAR"), ty.0)
        }
        Type::DataSec { size, vars, .. } => {
            let mut out = format!("{} size={size} vlen={}", named("DATASEC"), vars.len());
            for v in vars {
                let name = types.name(v.var).unwrap();
                let (id, at, size) = (v.var.0, v.offset, v.size);
                write!(out, "\n\ttype_id={id} offset={at} size={size} (VAR '{name}')").unwrap();
            }
            out
        }
        Type::Float { size, .. } => format!("{} size={size}", named("FLOAT")),
        Type::DeclTag { ty, component, .. } => {
            format!("{} type_id={} component_idx={component}", named("DECL_TAG"), ty.0)
        }
        Type::TypeTag { ty, .. } => format!("{} type_id={}", named("TYPE_TAG"), ty.0),
    }
}

/// Compares own types with what bpftool prints; `bases` are options for it.
fn compare(name: &str, types: &Btf<'_>, file: &std::path::Path, base: Option<&std::path::Path>) {
    let mut bpftool = Command::new("bpftool");
    if let Some(base) = base {
        bpftool.arg("-B").arg(base);
    }
    bpftool.args(["btf", "dump", "file"]).arg(file).args(["format", "raw"]);
    let dump = support::run(&mut bpftool);
    let mut rest = dump.as_str();
    for id in types.ids() {
        let ty = types.get(id).unwrap();
        // A function that other objects have shows its linkage; the reader tells only global ones from others.
        let linkage = u32::from(matches!(ty, Type::Func { global: true, .. }));
        let shown = format!("[{}] {}\n", id.0, show(types, &ty, linkage));
        let expected = rest.get(..shown.len()).unwrap_or(rest);
        let external = shown.replace("linkage=static", "linkage=extern");
        assert!(expected == shown || expected == external, "{name}: {shown}\nbpftool: {expected}");
        rest = &rest[shown.len()..];
    }
    assert_eq!(rest, "", "{name}: bpftool has more types");
}

#[test]
fn every_type_of_every_kernel_is_as_bpftool_shows_it() {
    if !support::require("bpftool") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("types.btf");
    for kernel in kernels::all() {
        std::fs::write(&file, kernel.btf()).unwrap();
        compare(&kernel.name, &Btf::parse(kernel.btf()).unwrap(), &file, None);
    }
    let base = dir.path().join("base.btf");
    for module in kernels::modules() {
        let image = kernels::named(module.module().unwrap().0);
        std::fs::write(&base, image.btf()).unwrap();
        std::fs::write(&file, module.btf()).unwrap();
        let image = Arc::new(Btf::parse(image.btf()).unwrap());
        let types = Btf::split(module.btf(), image).unwrap();
        compare(&module.name, &types, &file, Some(&base));
    }
}
