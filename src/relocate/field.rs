//! The way to a field in a candidate: the local path's names and indices, found again.
//!
//! In: a local path and a candidate. Out: the candidate's path, or which step failed and why. Members are searched through anonymous structs and unions; the first one of
//! a name decides. Rules: libbpf's `bpf_core_spec_match`.

use super::Policy;
use super::compat::{Dimensions, Pair, Shapes};
use super::fail::Fail;
use super::reason::{spell, spell_path};
use super::spec::{MAX_STEPS, Path, Step, bits};
use crate::btf::{Type, TypeId, kind};

/// How many members are looked at. Anonymous structs that hold each other many times could make it endless.
const MAX_WORK: u32 = 1 << 16;

/// Where the way ended that a candidate has not to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// The part of the path that there is.
    pub(super) matched: String,
    /// Why it ends there.
    pub(super) why: String,
    /// The struct that has no member of that name.
    pub(super) level: Option<(TypeId, String)>,
}

/// A search for a path.
struct Search<'p, 'l, 't> {
    pair: Pair<'p, 'l, 't>,
    path: Path<'t>,
    /// How many steps, anonymous ones included.
    raw: usize,
    work: u32,
}

/// What came of looking for a member.
enum Found {
    /// Its type.
    Member(TypeId),
    /// The first one of the name has another type.
    Incompatible(TypeId),
    Absent,
}

/// The path of a candidate.
pub(super) fn find<'t>(
    pair: Pair<'_, '_, 't>,
    path: &Path<'_>,
    candidate: TypeId,
) -> Result<Result<Path<'t>, Mismatch>, Fail> {
    let mut search = Search { pair, path: Path::default(), raw: 0, work: 0 };
    let mut at = candidate;
    let mut steps = path.steps.iter().enumerate();
    while let Some((i, step)) = steps.next() {
        at = pair.target.strip(at)?;
        match *step {
            Step::Member { name, ty, .. } => match search.member(name, ty, at)? {
                Found::Member(ty) => at = ty,
                Found::Incompatible(found) => return Ok(Err(search.incompatible(name, ty, found))),
                Found::Absent => return Ok(Err(search.absent(name, at))),
            },
            Step::Index { index, array: None, .. } => search.index(index, None, at)?,
            Step::Index { index, array: Some(array), .. } => {
                let rows = (pair.local.dimensions(array)?, pair.target.dimensions(at)?);
                if let (Policy::Strict, (Some(local), Some(target))) = (pair.policy, rows)
                    && local.lengths.len() != target.lengths.len()
                {
                    // All indices into the array at once.
                    let rest = path.steps.get(i..).unwrap_or_default();
                    let indices: Vec<u32> = (rest.iter().take(local.lengths.len()))
                        .map_while(|step| match step {
                            Step::Index { index, .. } => Some(*index),
                            Step::Member { .. } => None,
                        })
                        .collect();
                    if let Err(mismatch) = search.flat(&indices, &local, &target, at)? {
                        return Ok(Err(mismatch));
                    }
                    at = target.elem;
                    for _ in 1..indices.len() {
                        steps.next();
                    }
                    continue;
                }
                match search.element(index, at)? {
                    Ok(elem) => at = elem,
                    Err(mismatch) => return Ok(Err(mismatch)),
                }
            }
        }
    }
    Ok(Ok(search.path))
}

impl Search<'_, '_, '_> {
    /// Looks for a member of a struct or union, also in anonymous ones within.
    fn member(&mut self, name: &str, local: TypeId, at: TypeId) -> Result<Found, Fail> {
        let target = self.pair.target;
        let mut result = Found::Absent;
        let mut members = target.members(target.strip(at)?)?;
        while let Some(member) = members.next() {
            let member = member?;
            self.work += 1;
            if self.raw >= MAX_STEPS || self.work > MAX_WORK {
                return Err(Fail::too_big(format!(
                    "anonymous structs on its way are more than {MAX_STEPS} levels deep"
                )));
            }
            if member.name.is_empty() {
                let (before, raw) = (self.path.bit_offset, self.raw);
                if self.path.move_by(member.bit_offset.into(), self.pair.policy).is_err() {
                    continue;
                }
                self.raw += 1;
                match self.member(name, local, member.ty)? {
                    found @ Found::Member(_) => return Ok(found),
                    found @ Found::Incompatible(_) => result = found,
                    Found::Absent => {}
                }
                if self.pair.policy == Policy::Strict {
                    (self.path.bit_offset, self.raw) = (before, raw);
                } else {
                    // A member that did not fit is still in libbpf's sums.
                    self.path.bit_offset = self.path.bit_offset.wrapping_sub(member.bit_offset);
                    self.raw -= 1;
                }
            } else if member.name == name {
                self.path.move_by(member.bit_offset.into(), self.pair.policy)?;
                self.raw += 1;
                if !self.pair.fields(local, member.ty)? {
                    return Ok(Found::Incompatible(member.ty));
                }
                let field = bits(target, &member, self.pair.policy)?;
                self.path.move_by(field.bit_shift.into(), self.pair.policy)?;
                let last = members.next().is_none();
                let (name, ty, width) = (member.name, member.ty, field.width);
                self.path.steps.push(Step::Member { name, ty, width, last });
                return Ok(Found::Member(member.ty));
            }
        }
        Ok(result)
    }

    /// Goes to an element.
    fn index(&mut self, index: u32, array: Option<TypeId>, elem: TypeId) -> Result<(), Fail> {
        if self.raw >= MAX_STEPS {
            return Err(Fail::too_big(format!("its path has more than {MAX_STEPS} steps")));
        }
        self.raw += 1;
        let step = Step::Index { index, array, elem, count: 1 };
        self.path.enter(self.pair.target, step, self.pair.policy)
    }

    /// Goes to an element of the array `at`: its type.
    fn element(&mut self, index: u32, at: TypeId) -> Result<Result<TypeId, Mismatch>, Fail> {
        let target = self.pair.target;
        let Type::Array { elem, len, .. } = target.get(at)? else {
            return Ok(Err(self.ended(format!("{} is no array", spell(target, at)))));
        };
        let flexible = len == 0 && self.path.at_end_of_struct();
        if index >= len && !flexible {
            let why = format!("index {index} is outside of {}", spell(target, at));
            return Ok(Err(self.ended(why)));
        }
        let elem = target.strip(elem)?;
        self.index(index, Some(at), elem)?;
        Ok(Ok(elem))
    }

    /// Goes to an element of an array that one side has in one dimension and the other in several: memory is the same. pahole writes `x[2][3]` as `x[6]`.
    fn flat(
        &mut self,
        indices: &[u32],
        local: &Dimensions,
        target: &Dimensions,
        at: TypeId,
    ) -> Result<Result<(), Mismatch>, Fail> {
        let product = |lengths: &[u32]| {
            lengths.iter().fold(1_u64, |product, len| product.saturating_mul(u64::from(*len)))
        };
        let (all_local, all) = (product(&local.lengths), product(&target.lengths));
        // The elements behind each index.
        let stride = |i: usize| product(local.lengths.get(i..).unwrap_or(&[]));
        let flat = (1..).zip(indices).fold(0_u64, |sum, (i, index)| {
            sum.saturating_add(u64::from(*index).saturating_mul(stride(i)))
        });
        let count = stride(indices.len());
        let spelled = spell(self.pair.target, at);
        if flat.saturating_add(count) > all {
            let why = format!("element {flat}, counted through, is outside of {spelled}");
            return Ok(Err(self.ended(why)));
        }
        if local.lengths.len() > 1 && all != all_local && flat != 0 {
            let why = format!(
                "{spelled} does not say how long its rows are, and has {all} elements where the program takes it for {all_local}"
            );
            return Ok(Err(self.ended(why)));
        }
        let index = u32::try_from(flat).unwrap_or(u32::MAX);
        self.index(index, Some(at), target.elem)?;
        let whole = u32::try_from(count).unwrap_or(u32::MAX);
        if let Some(Step::Index { count, .. }) = self.path.steps.last_mut() {
            *count = whole;
        }
        Ok(Ok(()))
    }

    fn ended(&self, why: String) -> Mismatch {
        Mismatch { matched: spell_path(&self.path, ""), why, level: None }
    }

    fn absent(&self, name: &str, at: TypeId) -> Mismatch {
        let target = self.pair.target;
        let spelled = spell(target, at);
        match target.kind(at) {
            Ok(kind::STRUCT | kind::UNION) => {
                let level = Some((at, name.to_owned()));
                Mismatch { level, ..self.ended(format!("{spelled} has no member \"{name}\"")) }
            }
            _ => self.ended(format!("{spelled} has no members, hence no \"{name}\"")),
        }
    }

    fn incompatible(&self, name: &str, local: TypeId, found: TypeId) -> Mismatch {
        self.ended(format!(
            "\"{name}\" is of type `{}`, where the program takes it for `{}`",
            spell(self.pair.target, found),
            spell(self.pair.local, local)
        ))
    }
}
