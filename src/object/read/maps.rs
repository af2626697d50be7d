//! BTF-defined maps.

use super::super::btf::{Type, TypeId};
use super::Types;

/// A map, as its variable in `.maps` defines it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapDef<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type in the kernel's ABI.
    pub map_type: u32,
    /// The most entries.
    pub max_entries: u32,
    /// What a key is.
    pub key: Option<TypeId>,
    /// What a value is.
    pub value: Option<TypeId>,
    /// In bytes.
    pub key_size: u32,
    /// In bytes.
    pub value_size: u32,
}

impl<'a> Types<'a> {
    /// The maps that the section `.maps` defines, in its order. What is not a definition is left out.
    pub fn maps(&self) -> Vec<MapDef<'a>> {
        let sections = self.iter().filter_map(|(_, ty)| match ty {
            Type::DataSec { name: ".maps", vars, .. } => Some(vars),
            _ => None,
        });
        sections.flatten().filter_map(|var| self.map(var.var)).collect()
    }

    fn map(&self, var: TypeId) -> Option<MapDef<'a>> {
        let Type::Var { name, ty, .. } = self.get(var)? else { return None };
        let Type::Composite { members, .. } = self.get(self.strip(*ty)?)? else { return None };
        let mut map = MapDef { name, ..MapDef::default() };
        for member in members {
            let Some(Type::Ptr(to)) = self.get(member.ty) else { continue };
            let number = match self.get(*to) {
                Some(Type::Array { len, .. }) => *len,
                _ => 0,
            };
            match member.name {
                "type" => map.map_type = number,
                "max_entries" => map.max_entries = number,
                "key_size" => map.key_size = number,
                "value_size" => map.value_size = number,
                "key" => (map.key, map.key_size) = (Some(*to), self.size(*to)?),
                "value" => (map.value, map.value_size) = (Some(*to), self.size(*to)?),
                _ => {}
            }
        }
        Some(map)
    }
}
