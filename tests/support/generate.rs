//! Random scripts: a `begin` probe over parameters, locals, maps, text and records, of every operator and statement that integers have.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

/// What every generated script begins with. `p…` are given by the loader, so that the compiler knows nothing about them.
pub const DECLARATIONS: &str = "\
param pa: u64 = 0;
param pb: s64 = 0;
param pc: u32 = 0;
param pd: s8 = 0;
param pt: char[8] = \"\";
struct pair { s16 first; u64 second; char name[6]; };
let @m = hash(16);
let @e = array(4);
";

/// Numbers where things change.
const EDGES: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "7",
    "10",
    "31",
    "32",
    "63",
    "64",
    "127",
    "128",
    "255",
    "256",
    "32767",
    "32768",
    "65535",
    "0x7fffffff",
    "0x80000000",
    "0xffffffff",
    "0x100000000",
    "0x7fffffffffffffff",
    "0x8000000000000000",
    "0xffffffffffffffff",
    "(-1)",
    "(-2)",
    "(-128)",
    "(-2147483648)",
];
const LOCALS: &[&str] = &["$a", "$b", "$c", "$d", "$e"];
const PARAMS: &[&str] = &["pa", "pb", "pc", "pd"];
const BINARY: &[&str] = &[
    "+", "-", "*", "/", "%", "<<", ">>", "&", "|", "^", "==", "!=", "<", "<=", ">", ">=", "&&",
    "||",
];
const TYPES: &[&str] = &["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "bool"];
const TEXTS: &[&str] = &["\"\"", "\"a\"", "\"abc\"", "\"abcdefg\""];

fn one_of(list: &'static [&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(list).prop_map(String::from).boxed()
}

/// An integer expression. In loops their variables `$i0`, `$i1` are there too.
fn expr(loops: usize) -> BoxedStrategy<String> {
    let variables = if loops == 0 {
        one_of(LOCALS)
    } else {
        prop_oneof![one_of(LOCALS), (0..loops).prop_map(|i| format!("$i{i}"))].boxed()
    };
    let leaf = prop_oneof![
        3 => variables,
        3 => one_of(PARAMS),
        3 => one_of(EDGES),
        1 => any::<u64>().prop_map(|n| format!("{n:#x}")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), one_of(BINARY), inner.clone());
        prop_oneof![
            8 => two.prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => inner.clone().prop_map(|a| format!("(-{a})")),
            1 => inner.clone().prop_map(|a| format!("(~{a})")),
            1 => inner.clone().prop_map(|a| format!("(!{a})")),
            2 => (one_of(TYPES), inner.clone()).prop_map(|(t, a)| format!("(({t}){a})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(c, a, b)| format!("({c} ? {a} : {b})")),
            1 => inner.clone().prop_map(|k| format!("@m[(u64){k}]")),
            1 => inner.clone().prop_map(|k| format!("has_key(@m, (u64){k})")),
            1 => inner.prop_map(|k| format!("@e[(u32)({k} & 7)]")),
        ]
    })
    .boxed()
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![one_of(TEXTS), Just("pt".into()), Just("$s".into())].boxed()
}

fn simple(loops: usize) -> BoxedStrategy<String> {
    let e = move || expr(loops);
    prop_oneof![
        5 => (0..LOCALS.len(), e()).prop_map(|(i, v)| assign(i, &v)),
        1 => (one_of(LOCALS), one_of(&["++", "--"])).prop_map(|(l, op)| format!("{l}{op};")),
        2 => (e(), e()).prop_map(|(k, v)| format!("@m[(u64){k}] = (s64){v};")),
        1 => (e(), e()).prop_map(|(k, v)| format!("@m[(u64){k}] += (s64){v};")),
        1 => (e(), one_of(&["++", "--"])).prop_map(|(k, op)| format!("@m[(u64){k}]{op};")),
        1 => (e(), e()).prop_map(|(k, v)| format!("@e[(u32)({k} & 7)] = (u64){v};")),
        1 => e().prop_map(|k| format!("delete(@m, (u64){k});")),
        1 => e().prop_map(|v| format!("@plain = (s64){v};")),
        1 => e().prop_map(|k| format!("@count[(u8){k}] = count();")),
        1 => (e(), e()).prop_map(|(k, v)| format!("@sum[(s16){k}] = sum((s64){v});")),
        1 => e().prop_map(|v| format!("@sumu = sum((u64){v});")),
        1 => e().prop_map(|v| format!("@min = min((s32){v});")),
        1 => (e(), e()).prop_map(|(k, v)| format!("@max[(bool){k}] = max((u64){v});")),
        1 => (e(), e()).prop_map(|(k, v)| format!("@avg[(u16){k}] = avg((s64){v});")),
        1 => e().prop_map(|v| format!("@stats = stats((u64){v});")),
        2 => e().prop_map(|v| format!("@hist = hist((s64){v});")),
        1 => (e(), e()).prop_map(|(k, v)| format!("@histk[(u8){k}] = hist((u32){v});")),
        1 => e().prop_map(|v| format!("@lhist = lhist((s64){v}, -8, 100, 3);")),
        1 => (text(), e()).prop_map(|(t, v)| format!("@text[{t}, (u16){v}] = (s64){v};")),
        1 => (e(), text()).prop_map(|(k, t)| format!("@names[(u8){k}] = {t};")),
        1 => (e(), e()).prop_map(|(a, b)| format!("@pairs[(u8){a}] = ((s16){a}, (u64){b});")),
        2 => text().prop_map(|t| format!("$s = {t};")),
        1 => (e(), e(), text()).prop_map(|(a, b, t)| format!("emit ((u8){a}, (s64){b}, {t});")),
        1 => (e(), e(), text()).prop_map(|(a, b, t)| {
            format!("emit (struct pair){{ .first = (s16){a}, .second = (u64){b}, .name = {t} == \"a\" ? \"one\" : \"more\" }};")
        }),
        1 => (e(), text()).prop_map(|(a, t)| format!("printf(\"%d %s\\n\", (s32){a}, {t});")),
    ]
    .boxed()
}

/// `$a` to `$e` have types of their own; what is assigned is cast.
fn assign(local: usize, value: &str) -> String {
    let ty = ["u8", "s16", "u32", "s64", "u64"][local];
    format!("{} = ({ty}){value};", LOCALS[local])
}

fn block(depth: usize, loops: usize) -> BoxedStrategy<String> {
    prop::collection::vec(statement(depth, loops), 1..4).prop_map(|list| list.join("\n")).boxed()
}

fn statement(depth: usize, loops: usize) -> BoxedStrategy<String> {
    if depth == 0 {
        return simple(loops);
    }
    let branch = (expr(loops), block(depth - 1, loops), block(depth - 1, loops));
    let texts = (text(), one_of(&["==", "!="]), text(), block(depth - 1, loops));
    let mut choices = vec![
        (6, simple(loops)),
        (2, branch.prop_map(|(c, a, b)| format!("if ({c}) {{ {a} }} else {{ {b} }}")).boxed()),
        (1, texts.prop_map(|(a, op, b, body)| format!("if ({a} {op} {b}) {{ {body} }}")).boxed()),
    ];
    if loops < 2 {
        let range = (0..4_u32, 0..5_u32, block(depth - 1, loops + 1));
        let constant = range.prop_map(move |(from, n, body)| {
            format!("for $i{loops} : {from}..{} {{ {body} }}", from + n)
        });
        choices.push((2, constant.boxed()));
        let masked = (expr(loops), block(depth - 1, loops + 1));
        let masked = masked.prop_map(move |(end, body)| {
            format!("for $i{loops} : 0..((u64){end} & 3) {{ {body} }}")
        });
        choices.push((1, masked.boxed()));
    }
    if loops > 0 {
        let leave = (expr(loops), one_of(&["break", "continue", "return"]));
        choices.push((1, leave.prop_map(|(c, how)| format!("if ({c}) {{ {how}; }}")).boxed()));
    }
    prop::strategy::Union::new_weighted(choices).boxed()
}

/// A whole script.
pub fn script() -> impl Strategy<Value = String> {
    let firsts = prop::collection::vec(expr_of_params(), LOCALS.len());
    (firsts, prop::collection::vec(statement(3, 0), 1..7)).prop_map(|(firsts, body)| {
        let lets: Vec<String> =
            firsts.iter().enumerate().map(|(i, v)| format!("let {}", assign(i, v))).collect();
        let ends = "@ends[\"abcde\"] = ($a, $b, $c, $d, $e);";
        format!(
            "{DECLARATIONS}begin {{\n@m[(u64)1] = (s64)7; @e[pc] = (u64)9;\nlet $s: char[8] = pt;\n{}\n{}\n{ends}\n}}\n",
            lets.join("\n"),
            body.join("\n")
        )
    })
}

fn expr_of_params() -> BoxedStrategy<String> {
    prop_oneof![one_of(PARAMS), one_of(EDGES)].boxed()
}
