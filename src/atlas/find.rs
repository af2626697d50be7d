//! A kernel of an atlas by what somebody calls it.

use super::{Atlas, Entry};

/// How many names are told.
const MAX_TOLD: usize = 5;

/// Why no kernel is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound<'s> {
    /// Several may be.
    Several(Vec<&'s str>),
    /// None is; names that are near.
    None(Vec<&'s str>),
}

impl Atlas<'_> {
    /// The kernel that is called so: by its name, its release, or what one of these begins with where no other kernel's does.
    pub fn find(&self, called: &str) -> Result<&Entry, NotFound<'_>> {
        let release = |entry: &'_ Entry| entry.release.clone().unwrap_or_default();
        let ways: [&dyn Fn(&Entry) -> bool; 3] =
            [&|entry| entry.name == called, &|entry| release(entry) == called, &|entry| {
                entry.name.starts_with(called) || release(entry).starts_with(called)
            }];
        for way in ways.into_iter().filter(|_| !called.is_empty()) {
            let mut found = self.kernels().iter().filter(|entry| way(entry));
            match (found.next(), found.next()) {
                (Some(one), None) => return Ok(one),
                (None, _) => {}
                (Some(first), Some(second)) => {
                    let all = [first, second].into_iter().chain(found);
                    return Err(NotFound::Several(all.map(|entry| &*entry.name).collect()));
                }
            }
        }
        let mut near: Vec<(f64, &str)> = Vec::new();
        for entry in self.kernels() {
            let score = [Some(&entry.name), entry.release.as_ref()]
                .into_iter()
                .flatten()
                .map(|name| strsim::jaro_winkler(name, called))
                .fold(0.0, f64::max);
            near.push((score, &entry.name));
        }
        near.retain(|(score, _)| *score > 0.8);
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        near.truncate(MAX_TOLD);
        Err(NotFound::None(near.into_iter().map(|(_, name)| name).collect()))
    }
}
