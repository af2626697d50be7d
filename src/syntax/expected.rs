//! What was expected, in words: the parser's list of terminals, grouped so that people can read it.
//!
//! The names of terminals are those of `grammar/ub.lalrpop`.

/// A group of terminals that has a name, and the ones that are the sign of it.
struct Group {
    name: &'static str,
    /// All of these must be expected…
    sign: &'static str,
    /// …and then none of these is worth a mention.
    members: &'static str,
}

/// Tried in order; larger groups come first.
const GROUPS: &[Group] = &[
    Group {
        name: "a declaration or a probe",
        sign: "import spec",
        members: "import config let param const struct union kernel enum tracepoint fn spec",
    },
    Group {
        name: "a statement",
        sign: "if let return $name",
        members: "if for while unroll break continue return emit let { ; error name $name @name \
            number text character true false sizeof offsetof ( (type - ! ~ * & ++ --",
    },
    Group {
        name: "an expression",
        sign: "$name number !",
        members: "name $name @name number text character true false sizeof offsetof ( (type - ! \
            ~ * & ++ -- { int u32 struct union enum qualifier",
    },
    Group {
        name: "a type",
        sign: "int u32 struct",
        members: "int u32 struct union enum bool void string qualifier name (type error ;",
    },
    Group { name: "a member's name", sign: "name ( * : ;", members: "name ( * : ;" },
    Group {
        name: "an operator",
        sign: "+ << ==",
        members: "+ - * / % << >> & | ^ == != < <= > >= && || ? . -> [ ++ -- = op=",
    },
];

/// Terminals that have no spelling of their own.
const WORDS: &[(&str, &str)] = &[
    ("name", "a name"),
    ("$name", "a variable `$x`"),
    ("@name", "a map `@x`"),
    ("number", "a number"),
    ("text", "a string"),
    ("spec", "a probe such as `user:sched_switch`"),
    ("/predicate", "`/`"),
    ("predicate/", "`/` to end the predicate"),
    ("(type", "`(`"),
    ("type)", "`)`"),
];

/// Never worth a mention: they may stand nearly everywhere, or nobody writes them.
const SILENT: &[&str] = &["error", "qualifier", "op=", "character", "spec?"];

/// Where one of these may stand…
const ENDS: &[&str] = &[";", ",", ")", "type)", "]", "{"];

/// …these are not worth a mention: they would go on with what could as well have ended.
const CONTINUES: &[&str] = &["(", "[", "else", "?", "}", "..", "mirrors"];

/// How many alternatives a message lists.
const MOST: usize = 4;

/// The terminals, quoted as LALRPOP names them, in words: "an expression", "`;` or `}`".
pub(super) fn describe(terminals: &[String]) -> String {
    let mut left: Vec<&str> = terminals.iter().map(|t| t.trim_matches('"')).collect();
    let mut words = Vec::new();
    let mut operator = false;
    for group in GROUPS {
        if group.sign.split(' ').all(|sign| left.contains(&sign)) {
            left.retain(|terminal| !group.members.split(' ').any(|member| member == *terminal));
            match group.name {
                "an operator" => operator = true,
                name => words.push(name.to_owned()),
            }
        }
    }
    left.retain(|terminal| !SILENT.contains(terminal));
    let ends = ENDS.iter().any(|end| left.contains(end));
    if ends || !words.is_empty() {
        left.retain(|terminal| !CONTINUES.contains(terminal));
    }
    words.extend(left.iter().map(|terminal| {
        WORDS
            .iter()
            .find(|(t, _)| t == terminal)
            .map_or_else(|| format!("`{terminal}`"), |(_, w)| (*w).to_owned())
    }));
    words.dedup();
    // An operator may follow every operand: it is said only where nothing else is.
    if operator && words.is_empty() {
        words.push("an operator".to_owned());
    }
    words.truncate(MOST);
    match words.as_slice() {
        [] => "something else".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The token that was found, for a message.
pub(super) fn found(text: &str) -> String {
    format!("`{}`", shown(text))
}

/// Words of other languages, and what is written here.
const HELP: &[(&str, &str)] = &[
    ("and", "write `&&`"),
    ("or", "write `||`"),
    ("not", "write `!`"),
    ("elif", "write `else if`"),
    ("elsif", "write `else if`"),
];

/// What to do about an unexpected word, where it is a well-known one.
pub(super) fn help(text: &str) -> Option<&'static str> {
    HELP.iter().find(|(word, _)| *word == text).map(|(_, help)| *help)
}

/// Text for a message, cut where it is long.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 32;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
