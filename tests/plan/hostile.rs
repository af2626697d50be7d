//! Broken types on either side end in a plan or an error.

use super::notation;
use super::subject::{Form, Question, object};
use proptest::prelude::*;
use std::sync::Arc;
use ubpfc::btf::Btf;
use ubpfc::kernel::Target;
use ubpfc::object::btf_ext::CoreKind;
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Edit, Policy};

const TYPES: &str = "enum e 4 | A 1 | B 2
struct @inner 16 | 0 u32 x | 4.3:5 u32 bits | 8 *void p
union @both 16 | 0 @inner | 0 u64 c
typedef t u32
struct s 64 | 0 t a | 16 @both | 32 u32[2][3] r | 56 e kind";

/// Every kind of question about every member.
fn questions(ids: &std::collections::BTreeMap<String, ubpfc::btf::TypeId>) -> Vec<Question> {
    let accesses = ["0", "0:0", "0:1:0:0", "0:1:0:1", "0:1:0:2", "0:2:1:2", "0:3", "3:0"];
    let mut questions = Vec::new();
    for kind in CoreKind::ALL {
        for root in ["s", "e", "t"] {
            for access in accesses {
                for form in [Form::Mov, Form::Wide, Form::Load(4)] {
                    questions.push(Question {
                        root: ids[root],
                        path: String::new(),
                        access: access.into(),
                        kind: *kind,
                        value: 0,
                        form,
                        unit: None,
                    });
                }
            }
        }
    }
    questions
}

/// Bits to turn over, by byte of the types.
type Flips<'f> = &'f [(usize, u8)];

/// Turns bits over in the types that are somewhere in `bytes`.
fn flip(bytes: &mut [u8], types: &[u8], flips: Flips<'_>) {
    let body = &types[24..];
    let start = bytes.windows(body.len()).position(|window| window == body).unwrap();
    for (at, bit) in flips {
        bytes[start + at % body.len()] ^= 1 << bit;
    }
}

/// Plans each question alone, with broken local types; how many were answered.
fn answered(local: &[u8], flips: Flips<'_>, target: &[u8], questions: &[Question]) -> usize {
    let Ok(image) = Btf::parse(target) else { return 0 };
    let target = Target { image: Arc::new(image), modules: Vec::new() };
    let mut answered = 0;
    for (i, policy) in [Policy::Strict, Policy::Libbpf].into_iter().enumerate() {
        for question in questions.iter().skip(i).step_by(2) {
            let mut bytes = object(local, std::slice::from_ref(question), |_| true);
            flip(&mut bytes, local, flips);
            let Ok(object) = Object::parse(&bytes) else { continue };
            let _ = relocate::wanted(&object);
            let plan = relocate::plan(&object, &target, policy);
            answered += plan.map_or(0, |plan| {
                let replaced = |fixup: &&relocate::Fixup| matches!(fixup.edit, Edit::Replace(_));
                plan.fixups.iter().filter(replaced).count()
            });
        }
    }
    answered
}

#[test]
fn whole_types_are_answered() {
    let (types, ids) = notation::types(TYPES.lines());
    assert!(answered(&types, &[], &types, &questions(&ids)) > 30);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits_in_types_end_in_a_plan_or_an_error(
        flips in prop::collection::vec((0..600_usize, 0..8_u8), 1..6),
        on_target: bool,
    ) {
        let (types, ids) = notation::types(TYPES.lines());
        let mut target = types.clone();
        let none: Flips<'_> = &[];
        let (local, remote) = if on_target { (none, &*flips) } else { (&*flips, none) };
        flip(&mut target, &types, remote);
        answered(&types, local, &target, &questions(&ids));
    }
}
