//! The functions of the header: each reads a field through CO-RE, by the first alternative that the kernel has.
//!
//! A hop of a path is asked through a local struct of its own, a flavor of the kernel's that has nothing but the way to the member. What is read is read by `bpf_probe_read_kernel` with the kernel's own offset,
//! size, sign and bits, so that a value is right whatever integer the kernel has there.

use super::int;
use crate::library::{Field, Library, Mirror, Type};
use crate::sema::hir::{
    Alternative, BinOp, KEntry, KExpr, KExprKind, KHop, KLeaf, KPath, KStep, KThen, UnOp,
};
use crate::sema::types::IntTy;
use std::fmt::Write as _;

/// What the functions are made of.
const MACROS: &str = "\
#define UBPFC_PLACE(type, member) (((const type *)0)->member)
#define UBPFC_INFO(place, what) __builtin_preserve_field_info(place, BPF_FIELD_##what)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define UBPFC_SKIP(size) 0
#else
#define UBPFC_SKIP(size) (8 - (size))
#endif
/* What the kernel has somewhere: of a pointer all of it, of an integer, bool or enum its bits. */
#define UBPFC_WHOLE(base, place) ({ \\
\tunsigned long long ubpfc_whole = 0; \\
\tbpf_probe_read_kernel((char *)&ubpfc_whole + UBPFC_SKIP(UBPFC_INFO(place, BYTE_SIZE)), \\
\t\tUBPFC_INFO(place, BYTE_SIZE), (const char *)(base) + UBPFC_INFO(place, BYTE_OFFSET)); \\
\tubpfc_whole; })
#define UBPFC_READ(base, place) ({ \\
\tunsigned long long ubpfc_value = UBPFC_WHOLE(base, place); \\
\tubpfc_value <<= UBPFC_INFO(place, LSHIFT_U64); \\
\tUBPFC_INFO(place, SIGNED) \\
\t\t? (unsigned long long)((long long)ubpfc_value >> UBPFC_INFO(place, RSHIFT_U64)) \\
\t\t: ubpfc_value >> UBPFC_INFO(place, RSHIFT_U64); })
/* The same of an array's element, of which loaders do not tell the sign. */
#define UBPFC_UNSIGNED(base, place) UBPFC_WHOLE(base, place)
#define UBPFC_SIGNED(base, place) \\
\t((unsigned long long)((long long)(UBPFC_WHOLE(base, place) << (64 - 8 * UBPFC_INFO(place, BYTE_SIZE))) \\
\t\t>> (64 - 8 * UBPFC_INFO(place, BYTE_SIZE))))
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define UBPFC_FROM_NETWORK(bits, value) ((unsigned long long)__builtin_bswap##bits(value))
#else
#define UBPFC_FROM_NETWORK(bits, value) ((value) << (64 - bits) >> (64 - bits))
#endif
#define UBPFC_HAS(place) UBPFC_INFO(place, EXISTS)
#define UBPFC_ADDRESS(base, place) ((unsigned long long)(base) + UBPFC_INFO(place, BYTE_OFFSET))
";

/// The functions for every field of every mirror.
pub(super) fn functions(library: &Library) -> String {
    let mut writer = Writer { library, flavors: Vec::new(), declarations: String::new() };
    let mut functions = String::new();
    for mirror in &library.mirrors {
        for field in &mirror.fields {
            functions.push_str(&writer.field(mirror, field));
        }
    }
    let kernels: Vec<String> =
        library.mirrors.iter().map(|mirror| format!("struct {};\n", mirror.kernel)).collect();
    format!("{MACROS}\n{}{}\n{functions}", kernels.concat(), writer.declarations)
}

/// What is written of the header.
struct Writer<'l> {
    library: &'l Library,
    /// The bodies of the local types, each once; a type is named by its place here.
    flavors: Vec<String>,
    declarations: String,
}

impl Writer<'_> {
    fn field(&mut self, mirror: &Mirror, field: &Field) -> String {
        let (of, name, kernel) = (&mirror.name, &field.name, &mirror.kernel);
        let (result, to) = self.result(&field.ty);
        let mut text = format!(
            "static inline __attribute__((always_inline)) {result}{of}_{name}(const struct {kernel} *p{to})\n{{\n"
        );
        let mut present = Vec::new();
        for (at, alternative) in field.alternatives.iter().enumerate() {
            let needs = self.applies(&alternative.value);
            let last = at + 1 == field.alternatives.len() && !field.optional;
            let condition = if last { String::new() } else { format!("if ({needs}) ") };
            let read = self.read(&field.ty, &alternative.value.value);
            let _ = writeln!(text, "\t{condition}{{\n{read}\t}}");
            present.push(format!("({needs})"));
        }
        if field.optional {
            text.push_str(&nothing(&field.ty));
        }
        text.push_str("}\n");
        if field.optional {
            let present = present.join(" || ");
            let _ = writeln!(
                text,
                "static inline __attribute__((always_inline)) ubpfc_bool {of}_has_{name}(void)\n{{\n\treturn {present};\n}}"
            );
        }
        text
    }

    /// What a function returns, and what further argument it has.
    fn result(&self, ty: &Type) -> (String, String) {
        match ty {
            Type::Bool => ("ubpfc_bool ".to_owned(), String::new()),
            Type::Int(of) | Type::Enum(_, of) => (format!("{} ", int(*of)), String::new()),
            Type::Mirror(name) => {
                let mirror = self.library.mirrors.iter().find(|mirror| mirror.name == *name);
                let kernel = mirror.map_or("void".to_owned(), |m| format!("struct {}", m.kernel));
                (format!("{kernel} *"), String::new())
            }
            Type::Kernel(_) => ("void *".to_owned(), String::new()),
            Type::Chars(_) => ("void ".to_owned(), ", char *to".to_owned()),
            Type::Array(element, _) => {
                ("void ".to_owned(), format!(", {}*to", self.result(element).0))
            }
        }
    }

    /// The statements that read a value.
    fn read(&mut self, ty: &Type, value: &KExpr) -> String {
        match (ty, &value.kind) {
            (Type::Chars(len), KExprKind::Path(path)) => {
                let (base, places) = self.place(path);
                let place = places.first().map_or("0", |(_, place)| place);
                format!(
                    "\t\tunsigned int size = UBPFC_INFO({place}, BYTE_SIZE);\n\t\t__builtin_memset(to, 0, {len});\n\
                     \t\tbpf_probe_read_kernel_str(to, size < {len} ? size : {len}, (const char *)UBPFC_ADDRESS({base}, {place}));\n\t\treturn;\n"
                )
            }
            (Type::Array(element, len), KExprKind::Path(path)) => {
                let (base, places) = self.place(path);
                let place = places.first().map_or("0", |(_, place)| place);
                let elements = (0..*len).map(|element_at| {
                    let read = of_element(&path.leaf);
                    let value = format!("{read}({base}, {place}[{element_at}])");
                    format!("\t\tto[{element_at}] = {};\n", converted(element, &value))
                });
                let elements = elements.collect::<String>();
                format!("{elements}\t\treturn;\n")
            }
            (Type::Chars(_) | Type::Array(..), _) => nothing(ty),
            _ => {
                let value = self.value(value);
                let pointer = matches!(ty, Type::Mirror(_) | Type::Kernel(_));
                let value =
                    if pointer { format!("(void *){value}") } else { converted(ty, &value) };
                format!("\t\treturn {value};\n")
            }
        }
    }

    /// Whether an alternative applies.
    fn applies(&mut self, alternative: &Alternative) -> String {
        let mut all = Vec::new();
        for guard in &alternative.guards {
            let mut path = Vec::new();
            self.path_needs(&guard.path, &mut path);
            let not = if guard.absent { "!" } else { "" };
            all.push(format!("{not}({})", path.join(" && ")));
        }
        self.needs(&alternative.value, &mut all);
        if all.is_empty() { "1".to_owned() } else { all.join(" && ") }
    }

    /// What has to exist for an expression.
    fn needs(&mut self, value: &KExpr, needs: &mut Vec<String>) {
        match &value.kind {
            KExprKind::Const(_) => {}
            KExprKind::Enumerator { enum_name, names } => {
                let any = names.iter().map(|name| {
                    let enumerator = self.enumerator(enum_name, name);
                    format!("bpf_core_enum_value_exists({enumerator})")
                });
                needs.push(either(&any.collect::<Vec<_>>()));
            }
            KExprKind::Unary(_, operand)
            | KExprKind::Convert(_, operand)
            | KExprKind::FromNetwork(_, operand) => self.needs(operand, needs),
            KExprKind::Binary(_, left, right) => {
                self.needs(left, needs);
                self.needs(right, needs);
            }
            KExprKind::Path(path) => self.path_needs(path, needs),
        }
    }

    fn path_needs(&mut self, path: &KPath, needs: &mut Vec<String>) {
        for hop in &path.hops {
            if let Some(member) = self.entry(&hop.entry) {
                needs.push(format!("UBPFC_HAS({member})"));
            }
            let last = match (&hop.then, &path.leaf) {
                (KThen::Leaf, KLeaf::Ints(_, len)) => format!("[{}]", len.saturating_sub(1)),
                _ => String::new(),
            };
            let places = self.hop(hop, &path.leaf).into_iter();
            let any: Vec<String> =
                places.map(|(_, place)| format!("UBPFC_HAS({place}{last})")).collect();
            if !any.is_empty() {
                needs.push(either(&any));
            }
            if let KThen::Element { index, .. } = &hop.then {
                self.needs(index, needs);
            }
        }
    }

    /// An expression of 64 bits without a sign.
    fn value(&mut self, value: &KExpr) -> String {
        match &value.kind {
            KExprKind::Const(number) => format!("{number}ULL"),
            KExprKind::Enumerator { enum_name, names } => {
                let each = names.iter().map(|name| {
                    let enumerator = self.enumerator(enum_name, name);
                    let value = format!("(unsigned long long)bpf_core_enum_value({enumerator})");
                    (format!("bpf_core_enum_value_exists({enumerator})"), value)
                });
                first(each.collect())
            }
            KExprKind::FromNetwork(bits, operand) => {
                format!("UBPFC_FROM_NETWORK({bits}, {})", self.value(operand))
            }
            KExprKind::Unary(op, operand) => {
                let operand = self.value(operand);
                match op {
                    UnOp::Neg => format!("(-{operand})"),
                    UnOp::Not => format!("(~{operand})"),
                    UnOp::LogNot => format!("((unsigned long long)!{operand})"),
                }
            }
            KExprKind::Binary(op, left, right) => {
                binary(*op, &self.value(left), &self.value(right))
            }
            KExprKind::Convert(to, operand) => {
                format!("((unsigned long long)({}){})", int(*to), self.value(operand))
            }
            KExprKind::Path(path) => {
                let (base, places) = self.place(path);
                if places.is_empty() {
                    return format!("((unsigned long long)({base}))");
                }
                let last = path.hops.last().and_then(|hop| hop.steps.last());
                let is_element = matches!(last, Some(KStep::Index(_)));
                let each = places.into_iter().map(|(leaf, place)| {
                    let value = match leaf {
                        KLeaf::Struct(_) => format!("UBPFC_ADDRESS({base}, {place})"),
                        KLeaf::Ptr(_) => format!("UBPFC_WHOLE({base}, {place})"),
                        leaf if is_element => format!("{}({base}, {place})", of_element(&leaf)),
                        _ => format!("UBPFC_READ({base}, {place})"),
                    };
                    (format!("UBPFC_HAS({place})"), value)
                });
                first(each.collect())
            }
        }
    }

    /// Where a path leads: the address of the last object on it, and the member there, as each of the kinds that it may have; none if it leads to the object itself.
    fn place(&mut self, path: &KPath) -> (String, Vec<(KLeaf, String)>) {
        let mut base = "p".to_owned();
        for hop in &path.hops {
            if let Some(member) = self.entry(&hop.entry) {
                base =
                    format!("((unsigned long long)({base}) - UBPFC_INFO({member}, BYTE_OFFSET))");
            }
            let places = self.hop(hop, &path.leaf);
            let place = places.first().map_or("0", |(_, place)| place);
            base = match &hop.then {
                KThen::Leaf => return (base, places),
                KThen::Deref => format!("UBPFC_WHOLE({base}, {place})"),
                KThen::Element { elem, index } => {
                    let elem = self.flavor(&format!("struct {elem}"), "char ubpfc;");
                    let index = self.value(index);
                    format!(
                        "(UBPFC_ADDRESS({base}, {place}) + {index} * bpf_core_type_size({elem}))"
                    )
                }
            };
        }
        (base, Vec::new())
    }

    /// The member that a pointer points to, of the struct that a hop begins with.
    fn entry(&mut self, entry: &KEntry) -> Option<String> {
        match entry {
            KEntry::Typed | KEntry::Cast => None,
            KEntry::Member { of, steps, leaf } => {
                let (before, after) = self.leaf(leaf);
                Some(self.member(of, steps, before, after))
            }
        }
    }

    /// The member that a hop leads to, as each of the kinds that it may have.
    fn hop(&mut self, hop: &KHop, leaf: &KLeaf) -> Vec<(KLeaf, String)> {
        if hop.steps.is_empty() {
            return Vec::new();
        }
        let pointer = KLeaf::Ptr(None);
        match &hop.then {
            KThen::Leaf => leaf
                .kinds()
                .into_iter()
                .map(|kind| {
                    let (before, after) = self.leaf(&kind);
                    let place = self.member(&hop.root, &hop.steps, before, after);
                    (kind, place)
                })
                .collect(),
            KThen::Deref => {
                let (before, after) = self.leaf(&pointer);
                vec![(pointer, self.member(&hop.root, &hop.steps, before, after))]
            }
            KThen::Element { .. } => {
                let (before, after) = ("struct { char ubpfc; } ".to_owned(), "[1]".to_owned());
                vec![(pointer, self.member(&hop.root, &hop.steps, before, after))]
            }
        }
    }

    /// A member of a kernel struct, in a local type of its own; what stands before and after its name says its type.
    fn member(&mut self, root: &str, path: &[KStep], before: String, after: String) -> String {
        let mut body = (before, after);
        let mut steps = String::new();
        let mut whole = String::new();
        for step in path.iter().rev() {
            match step {
                KStep::Index(index) => {
                    body.1 = format!("[{}]{}", index.saturating_add(1), body.1);
                    steps = format!("[{index}]{steps}");
                }
                KStep::Member(name) => {
                    whole = format!("{}{name}{};", body.0, body.1);
                    body = (format!("struct {{ {whole} }} "), String::new());
                    steps = format!(".{name}{steps}");
                }
            }
        }
        let flavor = self.flavor(&format!("struct {root}"), &whole);
        format!("UBPFC_PLACE({flavor}, {})", steps.trim_start_matches('.'))
    }

    /// How a member is declared: what stands before and after its name.
    fn leaf(&mut self, leaf: &KLeaf) -> (String, String) {
        let before = |int: IntTy| format!("{} ", int.c_name());
        match leaf {
            KLeaf::Int(int) | KLeaf::Number(int, _) => (before(*int), String::new()),
            KLeaf::Bits { width, word } => (before(*word), format!(" : {width}")),
            KLeaf::Enum(name, _) if name.is_empty() => {
                ("enum { UBPFC_ANY } ".replace("ANY", &self.fresh()), String::new())
            }
            KLeaf::Enum(name, _) => {
                (self.flavor(&format!("enum {name}"), "UBPFC_ONE"), String::new())
            }
            KLeaf::Ptr(_) => ("void *".to_owned(), String::new()),
            KLeaf::Chars(len) => ("char ".to_owned(), format!("[{len}]")),
            KLeaf::Ints(int, len) => (before(*int), format!("[{len}]")),
            KLeaf::Struct(_) | KLeaf::Any => ("struct { char ubpfc; } ".to_owned(), String::new()),
        }
    }

    /// A name that nothing else has.
    fn fresh(&mut self) -> String {
        self.flavors.push(String::new());
        format!("ANY{}", self.flavors.len())
    }

    /// The arguments of libbpf's macros for an enumerator.
    fn enumerator(&mut self, of: &str, name: &str) -> String {
        let flavor = self.flavor(&format!("enum {of}"), name);
        let number = flavor.rsplit("___").next().unwrap_or_default().trim();
        format!("{}, {name}___{number}", flavor.trim())
    }

    /// A local type of that name with that body, declared once: `struct task_struct___ubpfc3`. An enum's body is the name of an enumerator.
    fn flavor(&mut self, name: &str, body: &str) -> String {
        let whole = format!("{name} {body}");
        let known = self.flavors.iter().position(|flavor| *flavor == whole);
        let at = known.unwrap_or(self.flavors.len());
        let flavored = format!("{name}___ubpfc{at}");
        if known.is_none() {
            let declaration = if name.starts_with("enum ") {
                format!("{flavored} {{ {body}___ubpfc{at} = 1 }};\n")
            } else {
                format!("{flavored} {{ {body} }} __attribute__((preserve_access_index));\n")
            };
            self.flavors.push(whole);
            self.declarations.push_str(&declaration);
        }
        if name.starts_with("enum ") { format!("{flavored} ") } else { flavored }
    }
}

/// What reads an element of an array: its sign is the one that it is taken for.
fn of_element(leaf: &KLeaf) -> &'static str {
    match leaf {
        KLeaf::Int(int) | KLeaf::Number(int, _) | KLeaf::Enum(_, int) | KLeaf::Ints(int, _)
            if int.signed =>
        {
            "UBPFC_SIGNED"
        }
        _ => "UBPFC_UNSIGNED",
    }
}

/// One of several conditions.
fn either(any: &[String]) -> String {
    if let [one] = any { one.clone() } else { format!("({})", any.join(" || ")) }
}

/// The value of the first whose condition holds; the last needs none.
fn first(mut each: Vec<(String, String)>) -> String {
    let Some((_, mut value)) = each.pop() else { return "0".to_owned() };
    for (condition, before) in each.into_iter().rev() {
        value = format!("({condition} ? {before} : {value})");
    }
    value
}

/// What is read of a kernel that has none of it.
fn nothing(ty: &Type) -> String {
    match ty {
        Type::Chars(len) => format!("\t__builtin_memset(to, 0, {len});\n"),
        Type::Array(_, len) => format!("\t__builtin_memset(to, 0, {len} * sizeof(*to));\n"),
        _ => "\treturn 0;\n".to_owned(),
    }
}

/// A value of 64 bits as one of a type.
fn converted(ty: &Type, value: &str) -> String {
    match ty {
        Type::Bool => format!("{value} != 0"),
        Type::Int(of) | Type::Enum(_, of) => format!("({}){value}", int(*of)),
        _ => value.to_owned(),
    }
}

/// An operator, as programs have it: by 0 a quotient is 0 and a remainder the left operand.
fn binary(op: BinOp, left: &str, right: &str) -> String {
    let unsigned = |op: &str| format!("((unsigned long long)({left} {op} {right}))");
    let signed =
        |op: &str| format!("((unsigned long long)((long long){left} {op} (long long){right}))");
    match op {
        BinOp::Add => unsigned("+"),
        BinOp::Sub => unsigned("-"),
        BinOp::Mul => unsigned("*"),
        BinOp::DivU => format!("({right} ? {left} / {right} : 0)"),
        BinOp::DivS => format!("({right} ? {} : 0)", signed("/")),
        BinOp::RemU => format!("({right} ? {left} % {right} : {left})"),
        BinOp::RemS => format!("({right} ? {} : {left})", signed("%")),
        BinOp::Shl => format!("({left} << ({right} & 63))"),
        BinOp::ShrU => format!("({left} >> ({right} & 63))"),
        BinOp::ShrS => format!("((unsigned long long)((long long){left} >> ({right} & 63)))"),
        BinOp::And => unsigned("&"),
        BinOp::Or => unsigned("|"),
        BinOp::Xor => unsigned("^"),
        BinOp::Eq => unsigned("=="),
        BinOp::Ne => unsigned("!="),
        BinOp::LtU => unsigned("<"),
        BinOp::LeU => unsigned("<="),
        BinOp::LtS => signed("<"),
        BinOp::LeS => signed("<="),
    }
}
