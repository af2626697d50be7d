//! What a plan makes of records: each rule by small cases, loads that convert by random ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::cast_possible_truncation, reason = "numbers are cut as instructions cut them")]
#![allow(clippy::cast_possible_wrap, reason = "as above")]

#[path = "../relocate/notation.rs"]
mod notation;
#[path = "../relocate/subject.rs"]
#[expect(dead_code, reason = "it asks more kinds of questions for the other tests")]
mod subject;

mod cases;
mod conversion;
mod hostile;
