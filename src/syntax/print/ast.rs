//! The syntax tree as S-expressions.

use super::sexp::Sexp;
use crate::syntax::ast::{
    Block, EnumDecl, Expr, ExprKind, FieldDecl, File, FnDecl, Ident, Item, ItemKind, Probe, Stmt,
    StmtKind, StructDecl, StructKind, TracepointDecl, TracepointParam, TypeExpr, TypeExprKind,
    UnaryOp,
};

/// A tree as indented S-expressions, an item after the other.
pub fn print_ast(file: &File) -> String {
    let mut out = String::new();
    for item in &file.items {
        print_item(item).write(&mut out, 0);
        out.push('\n');
    }
    out
}

fn print_item(item: &Item) -> Sexp {
    match &item.kind {
        ItemKind::Import(path) => Sexp::list("import", [Sexp::atom(format!("{:?}", path.value))]),
        ItemKind::Config(entries) => Sexp::lines(
            "config",
            entries.iter().map(|e| Sexp::list("=", [name(&e.name), expr(&e.value)])),
        ),
        ItemKind::Map(map) => {
            let kind = Sexp::list(map.kind.name.as_str(), map.args.iter().map(expr));
            Sexp::list("let", [Sexp::atom(format!("@{}", map.name.name)), kind])
        }
        ItemKind::Param(p) => Sexp::list("param", [name(&p.name), ty(&p.ty), expr(&p.default)]),
        ItemKind::Const(c) => {
            let parts = std::iter::once(name(&c.name)).chain(c.ty.as_ref().map(ty));
            Sexp::list("const", parts.chain([expr(&c.value)]))
        }
        ItemKind::Struct(s) => struct_decl(s),
        ItemKind::Enum(e) => enum_decl(e),
        ItemKind::Tracepoint(t) => tracepoint(t),
        ItemKind::Prototype(p) => {
            let params = p.params.iter().map(|(t, n)| Sexp::list("param", [name(n), ty(t)]));
            let head = if p.ret.is_some() { "kernel-function" } else { "kernel-tracepoint" };
            let ret = p.ret.iter().map(ty);
            Sexp::list(head, ret.chain([name(&p.name)]).chain(params))
        }
        ItemKind::Fn(f) => fn_decl(f),
        ItemKind::Probe(p) => probe(p),
        ItemKind::Error => Sexp::atom("(error)"),
    }
}

fn struct_kind(kind: StructKind) -> &'static str {
    match kind {
        StructKind::Struct => "struct",
        StructKind::Union => "union",
        StructKind::Kernel => "kernel-struct",
    }
}

fn mirrors(target: Option<&Ident>) -> String {
    target.map_or_else(String::new, |m| format!(" mirrors {}", m.name))
}

fn struct_decl(decl: &StructDecl) -> Sexp {
    let head =
        format!("{} {}{}", struct_kind(decl.kind), decl.name.name, mirrors(decl.mirrors.as_ref()));
    Sexp::lines(head, decl.fields.iter().map(field))
}

fn field(field: &FieldDecl) -> Sexp {
    if matches!(field.ty.kind, TypeExprKind::Error) && field.name.is_none() {
        return Sexp::atom("(error)");
    }
    let mark = if field.optional { "?" } else { "" };
    let named = field.name.as_ref().map(|n| Sexp::atom(format!("{}{mark}", n.name)));
    let bits = field.bits.as_ref().map(|bits| Sexp::list("bits", [expr(bits)]));
    let sources = field.sources.iter().enumerate().map(|(i, s)| {
        let value = expr(&s.value);
        alternative(
            i,
            match &s.guard {
                Some(guard) => Sexp::list("if", [expr(guard), value]),
                None => value,
            },
        )
    });
    Sexp::list("field", [ty(&field.ty)].into_iter().chain(named).chain(bits).chain(sources))
}

fn alternative(number: usize, value: Sexp) -> Sexp {
    Sexp::list(if number == 0 { "=" } else { "else" }, [value])
}

fn enum_decl(decl: &EnumDecl) -> Sexp {
    let head = format!("enum {}{}", decl.name.name, mirrors(decl.mirrors.as_ref()));
    let enumerators = decl.enumerators.iter().map(|e| {
        let mark = if e.optional { "?" } else { "" };
        let sources = e.sources.iter().enumerate().map(|(i, s)| alternative(i, expr(s)));
        Sexp::list(format!("{}{mark}", e.name.name), sources)
    });
    Sexp::lines(head, enumerators)
}

fn tracepoint(decl: &TracepointDecl) -> Sexp {
    let sources = decl
        .sources
        .iter()
        .enumerate()
        .map(|(i, s)| alternative(i, Sexp::list(s.kind.name.as_str(), [name(&s.target)])));
    Sexp::lines(
        format!("tracepoint user:{}", decl.name.name),
        decl.params.iter().map(param).chain(sources),
    )
}

fn param(param: &TracepointParam) -> Sexp {
    let mark = if param.optional { "?" } else { "" };
    let named = Sexp::atom(format!("{}{mark}", param.name.name));
    let sources = param.sources.iter().enumerate().map(|(i, s)| alternative(i, name(s)));
    Sexp::list("param", [ty(&param.ty), named].into_iter().chain(sources))
}

fn fn_decl(decl: &FnDecl) -> Sexp {
    let params = decl.params.iter().map(|(n, t)| Sexp::list(format!("${}", n.name), [ty(t)]));
    let ret = decl.ret.as_ref().map(|t| Sexp::list("returns", [ty(t)]));
    let parts = params.chain(ret).chain([block("body", &decl.body)]);
    Sexp::lines(format!("fn {}", decl.name.name), parts)
}

fn probe(probe: &Probe) -> Sexp {
    let specs = probe.specs.iter().map(|spec| {
        let mark = spec.optional.then(|| Sexp::atom("?"));
        Sexp::List(spec.parts.iter().map(name).chain(mark).collect())
    });
    let predicate = probe.predicate.as_ref().map(|p| Sexp::list("when", [expr(p)]));
    let specs = std::iter::once(Sexp::List(specs.collect()));
    let parts = specs.chain(predicate).chain(probe.body.stmts.iter().map(stmt));
    Sexp::Lines(2, std::iter::once(Sexp::atom("probe")).chain(parts).collect())
}

fn block(head: &str, block: &Block) -> Sexp {
    Sexp::lines(head, block.stmts.iter().map(stmt))
}

fn stmt(stmt: &Stmt) -> Sexp {
    match &stmt.kind {
        StmtKind::Let { name, ty: declared, init } => {
            let declared = declared.as_ref().map(ty);
            Sexp::list(
                format!("let ${}", name.name),
                declared.into_iter().chain(init.as_ref().map(expr)),
            )
        }
        StmtKind::Assign { target, op, value } => {
            let op = op.map_or("", crate::syntax::ast::BinaryOp::as_str);
            Sexp::list(format!("{op}="), [expr(target), expr(value)])
        }
        StmtKind::Expr(value) => expr(value),
        StmtKind::If { cond, then, otherwise } => {
            let parts = [Sexp::atom("if"), expr(cond), block("then", then)];
            let otherwise = otherwise.as_ref().map(|b| block("else", b));
            Sexp::Lines(2, parts.into_iter().chain(otherwise).collect())
        }
        StmtKind::ForRange { var, start, end, body } => {
            let range = Sexp::list("..", [expr(start), expr(end)]);
            let parts = [Sexp::atom(format!("for ${}", var.name)), range];
            Sexp::Lines(2, parts.into_iter().chain(body.stmts.iter().map(self::stmt)).collect())
        }
        StmtKind::ForMap { var, map, body } => Sexp::lines(
            format!("for ${} @{}", var.name, map.name),
            body.stmts.iter().map(self::stmt),
        ),
        StmtKind::While { cond, body } => counted("while", cond, body),
        StmtKind::Unroll { count, body } => counted("unroll", count, body),
        StmtKind::Break => Sexp::atom("(break)"),
        StmtKind::Continue => Sexp::atom("(continue)"),
        StmtKind::Return(value) => Sexp::list("return", value.as_ref().map(expr)),
        StmtKind::Emit(value) => Sexp::list("emit", [expr(value)]),
        StmtKind::Block(body) => block("block", body),
        StmtKind::Error => Sexp::atom("(error)"),
    }
}

fn counted(head: &str, value: &Expr, body: &Block) -> Sexp {
    let parts = [Sexp::atom(head), expr(value)];
    Sexp::Lines(2, parts.into_iter().chain(body.stmts.iter().map(stmt)).collect())
}

fn name(ident: &Ident) -> Sexp {
    Sexp::atom(ident.name.as_str())
}

fn unary(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Neg => "neg",
        UnaryOp::Not => "!",
        UnaryOp::BitNot => "~",
        UnaryOp::Deref => "deref",
        UnaryOp::AddrOf => "addr-of",
    }
}

fn expr(value: &Expr) -> Sexp {
    match &value.kind {
        ExprKind::Int(n) => Sexp::atom(n.to_string()),
        ExprKind::Duration(n) => Sexp::atom(format!("{n}ns")),
        ExprKind::Str(text) => Sexp::atom(format!("{text:?}")),
        ExprKind::Bool(b) => Sexp::atom(b.to_string()),
        ExprKind::Name(n) => Sexp::atom(n.as_str()),
        ExprKind::Local(n) => Sexp::atom(format!("${n}")),
        ExprKind::Map { name, key: None } => Sexp::atom(format!("@{}", name.name)),
        ExprKind::Map { name, key: Some(key) } => {
            Sexp::list(format!("@{}", name.name), key.iter().map(expr))
        }
        ExprKind::Field { base, name: member, arrow } => {
            Sexp::list(if *arrow { "->" } else { "." }, [expr(base), name(member)])
        }
        ExprKind::Index { base, index } => Sexp::list("index", [expr(base), expr(index)]),
        ExprKind::Call { callee, args } => {
            Sexp::list(format!("call {}", callee.name), args.iter().map(expr))
        }
        ExprKind::Unary(op, operand) => Sexp::list(unary(*op), [expr(operand)]),
        ExprKind::Binary(op, left, right) => Sexp::list(op.as_str(), [expr(left), expr(right)]),
        ExprKind::Ternary(cond, then, otherwise) => {
            Sexp::list("?", [expr(cond), expr(then), expr(otherwise)])
        }
        ExprKind::Cast(target, operand) => Sexp::list("cast", [ty(target), expr(operand)]),
        ExprKind::StructLit(target, fields) => {
            let fields = fields.iter().map(|(n, v)| Sexp::list(format!(".{}", n.name), [expr(v)]));
            Sexp::list("new", std::iter::once(ty(target)).chain(fields))
        }
        ExprKind::Tuple(parts) => Sexp::list("tuple", parts.iter().map(expr)),
        ExprKind::Step { target, delta, postfix } => {
            let op = if *delta < 0 { "--" } else { "++" };
            let head = if *postfix { format!("post{op}") } else { format!("pre{op}") };
            Sexp::list(head, [expr(target)])
        }
        ExprKind::SizeofType(target) => Sexp::list("sizeof", [ty(target)]),
        ExprKind::SizeofExpr(operand) => Sexp::list("sizeof-value", [expr(operand)]),
        ExprKind::Offsetof(target, path) => {
            Sexp::list("offsetof", std::iter::once(ty(target)).chain(path.iter().map(name)))
        }
        ExprKind::Type(target) => Sexp::list("type", [ty(target)]),
        ExprKind::Block(body, result) => {
            Sexp::list("block-value", body.stmts.iter().map(stmt).chain([expr(result)]))
        }
        ExprKind::Error => Sexp::atom("(error)"),
    }
}

fn ty(value: &TypeExpr) -> Sexp {
    match &value.kind {
        TypeExprKind::Int { bits, signed, .. } => {
            Sexp::atom(format!("{}{bits}", if *signed { 's' } else { 'u' }))
        }
        TypeExprKind::Char => Sexp::atom("char"),
        TypeExprKind::Bool => Sexp::atom("bool"),
        TypeExprKind::Void => Sexp::atom("void"),
        TypeExprKind::Str => Sexp::atom("string"),
        TypeExprKind::Name(n) => Sexp::atom(n.as_str()),
        TypeExprKind::Struct(n) => Sexp::list("struct", [name(n)]),
        TypeExprKind::Union(n) => Sexp::list("union", [name(n)]),
        TypeExprKind::Enum(n) => Sexp::list("enum", [name(n)]),
        TypeExprKind::Anonymous(kind, fields) => {
            Sexp::lines(struct_kind(*kind), fields.iter().map(field))
        }
        TypeExprKind::Ptr(target) => Sexp::list("*", [ty(target)]),
        TypeExprKind::Array(element, n) => {
            Sexp::list("array", std::iter::once(ty(element)).chain(n.iter().map(|n| expr(n))))
        }
        TypeExprKind::Func(ret, params) => {
            let more = params.variadic.then(|| Sexp::atom("..."));
            let types = std::iter::once(&**ret).chain(&params.types).map(ty);
            Sexp::list("function", types.chain(more))
        }
        TypeExprKind::Tuple(parts) => Sexp::list("tuple", parts.iter().map(ty)),
        TypeExprKind::Error => Sexp::atom("(error)"),
    }
}
