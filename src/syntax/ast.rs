//! The syntax tree: what was written, before any name is looked up.
//!
//! Every node carries the span it was parsed from. Whatever could not be parsed is an `Error` node for which a diagnostic
//! exists, so that later stages stay silent about it. Doc comments (`///`) are not in the tree: [`super::Trivia`] finds
//! them by position.

use crate::source::Span;
pub use smol_str::SmolStr as Name;

/// A name and where it stands. Sigils (`$`, `@`) are not part of `name`; the span covers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// The name.
    pub name: Name,
    /// Where.
    pub span: Span,
}

/// A whole file.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// The items in order.
    pub items: Vec<Item>,
}

/// A top-level declaration or probe.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// From its first to its last token.
    pub span: Span,
}

/// The kinds of items.
#[derive(Clone, Debug)]
pub enum ItemKind {
    /// `import "sched";`
    Import(StrLit),
    /// `config = { name = value; … }`
    Config(Vec<ConfigEntry>),
    /// `let @map = kind(args);`
    Map(MapDecl),
    /// `param name: type = value;`
    Param(ParamDecl),
    /// `const NAME = value;` or `const NAME: type = value;`
    Const(ConstDecl),
    /// `struct …`, `union …`, `kernel struct …`
    Struct(StructDecl),
    /// `enum …`
    Enum(EnumDecl),
    /// `tracepoint user:NAME(…) = …;`
    Tracepoint(TracepointDecl),
    /// `kernel tracepoint NAME(…);`, `kernel function type NAME(…);`
    Prototype(PrototypeDecl),
    /// `fn name($x: type): type { … }`
    Fn(FnDecl),
    /// `spec, spec /predicate/ { … }`
    Probe(Probe),
    /// Something that could not be parsed.
    Error,
}

/// A string literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrLit {
    /// The text with escapes resolved.
    pub value: Name,
    /// Including the quotes.
    pub span: Span,
}

/// One `name = value` of a `config` block.
#[derive(Clone, Debug)]
pub struct ConfigEntry {
    /// The setting.
    pub name: Ident,
    /// Its value.
    pub value: Expr,
}

/// `let @name = kind(args);`
#[derive(Clone, Debug)]
pub struct MapDecl {
    /// The map.
    pub name: Ident,
    /// `hash`, `lruhash`, …
    pub kind: Ident,
    /// The arguments, such as the number of entries.
    pub args: Vec<Expr>,
}

/// `param name: type = default;`
#[derive(Clone, Debug)]
pub struct ParamDecl {
    /// The name, used bare in expressions.
    pub name: Ident,
    /// Its type.
    pub ty: TypeExpr,
    /// The value it has unless the loader sets another.
    pub default: Expr,
}

/// `const NAME[: type] = value;`
#[derive(Clone, Debug)]
pub struct ConstDecl {
    /// The name, used bare in expressions.
    pub name: Ident,
    /// The type, where it is given.
    pub ty: Option<TypeExpr>,
    /// A constant expression.
    pub value: Expr,
}

/// What a `struct` item declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructKind {
    /// `struct`: a mirror if the name ends in `_user` or `mirrors` is there, otherwise a record of the script's own.
    Struct,
    /// `union`.
    Union,
    /// `kernel struct`: what paths may take for granted of a kernel struct: members and their types, no offsets.
    Kernel,
}

/// A struct, union or mirror.
#[derive(Clone, Debug)]
pub struct StructDecl {
    /// Which kind.
    pub kind: StructKind,
    /// Its name.
    pub name: Ident,
    /// The kernel struct after `mirrors`.
    pub mirrors: Option<Ident>,
    /// The members in order.
    pub fields: Vec<FieldDecl>,
}

/// A member of a struct.
#[derive(Clone, Debug)]
pub struct FieldDecl {
    /// Its type, with the declarator folded in: `char x[4]` is an array type.
    pub ty: TypeExpr,
    /// Its name; `None` for an anonymous struct or union, and for a field that could not be parsed.
    pub name: Option<Ident>,
    /// The width after `:`.
    pub bits: Option<Expr>,
    /// `?`: reads 0 where the target has none.
    pub optional: bool,
    /// The alternatives after `=`, separated by `else`; empty when the field is found under its own name.
    pub sources: Vec<Alternative>,
    /// The whole declaration.
    pub span: Span,
}

/// `value [if guard]`, one place where a mirror's field comes from.
#[derive(Clone, Debug)]
pub struct Alternative {
    /// The value.
    pub value: Expr,
    /// What the target must have besides what the value names.
    pub guard: Option<Expr>,
    /// All of it.
    pub span: Span,
}

/// `enum NAME [mirrors KERNEL] { … }`
#[derive(Clone, Debug)]
pub struct EnumDecl {
    /// Its name.
    pub name: Ident,
    /// The kernel enum after `mirrors`.
    pub mirrors: Option<Ident>,
    /// The enumerators in order.
    pub enumerators: Vec<EnumeratorDecl>,
}

/// `NAME [= value [else value]…]`
#[derive(Clone, Debug)]
pub struct EnumeratorDecl {
    /// Its name.
    pub name: Ident,
    /// `?`: may be missing in the target.
    pub optional: bool,
    /// The value, or in a mirrored enum the kernel's enumerators, tried in order.
    pub sources: Vec<Expr>,
}

/// `tracepoint user:NAME(params) = source [else source]…;`
#[derive(Clone, Debug)]
pub struct TracepointDecl {
    /// The name after `user:`.
    pub name: Ident,
    /// The stable arguments.
    pub params: Vec<TracepointParam>,
    /// What it is bound to, tried in order.
    pub sources: Vec<TracepointSource>,
}

/// One argument of a user tracepoint.
#[derive(Clone, Debug)]
pub struct TracepointParam {
    /// Its type.
    pub ty: TypeExpr,
    /// Its name in scripts, and in the kernel's prototype unless `sources` says otherwise.
    pub name: Ident,
    /// `?`: a pointer that the kernel may pass as null, or an argument that some targets lack.
    pub optional: bool,
    /// The kernel's names for it after `=`, tried in order.
    pub sources: Vec<Ident>,
    /// The whole parameter.
    pub span: Span,
}

/// `kernel tracepoint EVENT(type name, …);` or `kernel function type NAME(type name, …);`: a prototype that kernels have for a raw tracepoint or a function, which may have several.
#[derive(Clone, Debug)]
pub struct PrototypeDecl {
    /// What a function returns; none of a tracepoint.
    pub ret: Option<TypeExpr>,
    /// The tracepoint without its category, or the function.
    pub name: Ident,
    /// The arguments; of a tracepoint, the leading `void *__data` left out.
    pub params: Vec<(TypeExpr, Ident)>,
}

/// `tracepoint sched:sched_switch`, `fentry vfs_read`, …
#[derive(Clone, Debug)]
pub struct TracepointSource {
    /// `tracepoint`, `fentry`, `fexit`, `kprobe` or `kretprobe`.
    pub kind: Ident,
    /// What follows: `sched:sched_switch`, `vfs_read`.
    pub target: Ident,
}

/// `fn name($x: type, …): type { … }`
#[derive(Clone, Debug)]
pub struct FnDecl {
    /// Its name.
    pub name: Ident,
    /// The parameters.
    pub params: Vec<(Ident, TypeExpr)>,
    /// The type it returns.
    pub ret: Option<TypeExpr>,
    /// Its body.
    pub body: Block,
}

/// A probe: where, when and what.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The places, at least one.
    pub specs: Vec<ProbeSpec>,
    /// The condition between slashes.
    pub predicate: Option<Expr>,
    /// The body.
    pub body: Block,
}

/// One probe spec as written, such as `user:sched_switch` or `interval:s:1`.
#[derive(Clone, Debug)]
pub struct ProbeSpec {
    /// The parts between colons, at least one. A part that holds a path keeps its slashes.
    pub parts: Vec<Ident>,
    /// `?` after it: skipped where the target lacks it.
    pub optional: bool,
    /// Without the `?`.
    pub span: Span,
}

/// `{ statements }`
#[derive(Clone, Debug)]
pub struct Block {
    /// The statements in order.
    pub stmts: Vec<Stmt>,
    /// Including the braces.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// Without the semicolon.
    pub span: Span,
}

/// The kinds of statements.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// `let $x[: type] [= value]`
    Let {
        /// The variable.
        name: Ident,
        /// Its type, where it is given.
        ty: Option<TypeExpr>,
        /// Its first value.
        init: Option<Expr>,
    },
    /// `target = value`, or `target op= value` with `op`.
    Assign {
        /// The variable, map element or field.
        target: Expr,
        /// The operator of a compound assignment.
        op: Option<BinaryOp>,
        /// The value.
        value: Expr,
    },
    /// An expression for its effect.
    Expr(Expr),
    /// `if cond { … } [else …]`; an `else if` is an `otherwise` block of one `if` statement.
    If {
        /// The condition.
        cond: Expr,
        /// Run when it holds.
        then: Block,
        /// Run when it does not.
        otherwise: Option<Block>,
    },
    /// `for $i : start..end { … }`; the end is exclusive.
    ForRange {
        /// The variable.
        var: Ident,
        /// The first value.
        start: Expr,
        /// The value after the last one.
        end: Expr,
        /// The body.
        body: Block,
    },
    /// `for $kv : @map { … }`
    ForMap {
        /// The variable.
        var: Ident,
        /// The map.
        map: Ident,
        /// The body.
        body: Block,
    },
    /// `while cond { … }`
    While {
        /// The condition.
        cond: Expr,
        /// The body.
        body: Block,
    },
    /// `unroll(n) { … }`
    Unroll {
        /// How often.
        count: Expr,
        /// The body.
        body: Block,
    },
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// `return [value]`
    Return(Option<Expr>),
    /// `emit value`
    Emit(Expr),
    /// A nested block.
    Block(Block),
    /// Something that could not be parsed.
    Error,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// From its first to its last token, parentheses included.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// `42`, `0x2a`, `1e6`, `1_000`, `'a'`
    Int(u64),
    /// `100ms`, in nanoseconds.
    Duration(u64),
    /// `"text"`
    Str(Name),
    /// `true`, `false`
    Bool(bool),
    /// A bare name: a builtin, constant, parameter, enumerator, `args`, or in a mirror a kernel member.
    Name(Name),
    /// `$x`
    Local(Name),
    /// `@map` or `@map[key, …]`; `@` alone has an empty name.
    Map {
        /// The map.
        name: Ident,
        /// The key's parts, where brackets follow.
        key: Option<Vec<Expr>>,
    },
    /// `base.name`, `base->name`, or `base.0` of a tuple.
    Field {
        /// What is reached into.
        base: Box<Expr>,
        /// The member or the tuple index.
        name: Ident,
        /// Whether `->` was written.
        arrow: bool,
    },
    /// `base[index]`
    Index {
        /// The array.
        base: Box<Expr>,
        /// Which element.
        index: Box<Expr>,
    },
    /// `name(args)`
    Call {
        /// The function.
        callee: Ident,
        /// Its arguments.
        args: Vec<Expr>,
    },
    /// `-x`, `!x`, `~x`, `*x`, `&x`
    Unary(UnaryOp, Box<Expr>),
    /// `x op y`
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `cond ? then : otherwise`
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `(type)x`
    Cast(TypeExpr, Box<Expr>),
    /// `(struct name){ .field = value, … }`
    StructLit(TypeExpr, Vec<(Ident, Expr)>),
    /// `(a, b)`, at least two.
    Tuple(Vec<Expr>),
    /// `x++`, `++x`, `x--`, `--x`
    Step {
        /// The variable or map element.
        target: Box<Expr>,
        /// 1 or -1.
        delta: i8,
        /// Whether the value is the one before the step.
        postfix: bool,
    },
    /// `sizeof(type)`
    SizeofType(TypeExpr),
    /// `sizeof(value)`
    SizeofExpr(Box<Expr>),
    /// `offsetof(type, member.member)`
    Offsetof(TypeExpr, Vec<Ident>),
    /// A type as an argument: `container_of(ptr, struct sock, member)`.
    Type(TypeExpr),
    /// `{ statements; value }`
    Block(Block, Box<Expr>),
    /// Something that could not be parsed.
    Error,
}

/// Operators before an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
    /// `~`
    BitNot,
    /// `*`
    Deref,
    /// `&`
    AddrOf,
}

/// Operators between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `&`
    And,
    /// `|`
    Or,
    /// `^`
    Xor,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `&&`
    LogAnd,
    /// `||`
    LogOr,
}

impl BinaryOp {
    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Eq, Ge, Gt, Le, Lt, Ne};
        matches!(self, Eq | Ne | Lt | Le | Gt | Ge)
    }

    /// How it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
            BinaryOp::Shl => "<<",
            BinaryOp::Shr => ">>",
            BinaryOp::And => "&",
            BinaryOp::Or => "|",
            BinaryOp::Xor => "^",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::LogAnd => "&&",
            BinaryOp::LogOr => "||",
        }
    }
}

/// A type as written.
#[derive(Clone, Debug)]
pub struct TypeExpr {
    /// What it is.
    pub kind: TypeExprKind,
    /// Where it stands; for a declarator, from the base type to the end of the declarator.
    pub span: Span,
}

/// The kinds of type expressions.
#[derive(Clone, Debug)]
pub enum TypeExprKind {
    /// An integer type under any of its names: `u32`, `uint32`, `unsigned int`.
    Int {
        /// 8, 16, 32 or 64.
        bits: u8,
        /// Whether it is signed.
        signed: bool,
        /// Whether it is a `long` in C, which the kernel has with 32 bits on machines of 32 bits.
        long: bool,
    },
    /// `char`: a byte of text.
    Char,
    /// `bool`
    Bool,
    /// `void`
    Void,
    /// `string`
    Str,
    /// A typedef or a name declared in the script: resolved later.
    Name(Name),
    /// `struct NAME`
    Struct(Ident),
    /// `union NAME`
    Union(Ident),
    /// `enum NAME`
    Enum(Ident),
    /// `struct { … }` or `union { … }` inside another one.
    Anonymous(StructKind, Vec<FieldDecl>),
    /// `T *`
    Ptr(Box<TypeExpr>),
    /// `T[n]`, `T[]`
    Array(Box<TypeExpr>, Option<Box<Expr>>),
    /// `T (*)(…)`: only as a pointer's target, in kernel structs and prototypes.
    Func(Box<TypeExpr>, FuncParams),
    /// `(T, T)`
    Tuple(Vec<TypeExpr>),
    /// Something that could not be parsed.
    Error,
}

/// What a function takes.
#[derive(Clone, Debug)]
pub struct FuncParams {
    /// The types in order; a single `void` stands for none.
    pub types: Vec<TypeExpr>,
    /// Whether `...` follows.
    pub variadic: bool,
}
