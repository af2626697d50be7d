//! S-expressions: a tree of words, laid out on as few lines as fit.

/// The width that a line is kept under where it can be broken.
const WIDTH: usize = 100;

/// A word or a list.
pub(super) enum Sexp {
    /// A word.
    Atom(String),
    /// A list, of which the head words stay on its first line.
    List(Vec<Sexp>),
    /// A list that takes a line for each part after the first `usize` ones, such as the statements of a body.
    Lines(usize, Vec<Sexp>),
}

impl Sexp {
    pub(super) fn atom(text: impl Into<String>) -> Sexp {
        Sexp::Atom(text.into())
    }

    /// `(head parts…)`
    pub(super) fn list(head: impl Into<String>, parts: impl IntoIterator<Item = Sexp>) -> Sexp {
        Sexp::List(std::iter::once(Sexp::atom(head)).chain(parts).collect())
    }

    /// `(head` and a line for each part.
    pub(super) fn lines(head: impl Into<String>, parts: impl IntoIterator<Item = Sexp>) -> Sexp {
        Sexp::Lines(1, std::iter::once(Sexp::atom(head)).chain(parts).collect())
    }

    /// Appends the layout, which starts at column `indent`.
    pub(super) fn write(&self, out: &mut String, indent: usize) {
        let (head, parts) = match self {
            Sexp::Atom(text) => return out.push_str(text),
            Sexp::List(parts) if self.flat_width(WIDTH.saturating_sub(indent)).is_some() => {
                (parts.len(), parts)
            }
            Sexp::List(parts) => (1, parts),
            Sexp::Lines(head, parts) => (*head, parts),
        };
        out.push('(');
        for (i, part) in parts.iter().enumerate() {
            if i >= head {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent + 2));
                part.write(out, indent + 2);
            } else {
                if i > 0 {
                    out.push(' ');
                }
                part.write(out, indent);
            }
        }
        out.push(')');
    }

    /// The width on one line, where that is possible and at most `most`.
    fn flat_width(&self, most: usize) -> Option<usize> {
        let width = match self {
            Sexp::Atom(text) => text.len(),
            Sexp::Lines(head, parts) if parts.len() > *head => return None,
            Sexp::List(parts) | Sexp::Lines(_, parts) => {
                let mut width = 1 + parts.len();
                for part in parts {
                    width += part.flat_width(most.checked_sub(width)?)?;
                }
                width
            }
        };
        (width <= most).then_some(width)
    }
}
