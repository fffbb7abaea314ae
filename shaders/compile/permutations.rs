//! The permutation table: which shader files exist, and along which axes each varies.
//!
//! `axis NAME value...` declares an axis; `file AXIS...` declares a shader with one permutation for each combination of
//! values, without those for which `never FLAG...` holds. The permutation `file.value` has `AXIS` set to `value` (for
//! `#import folder/{AXIS}`) and the flag `AXIS_VALUE`.

use std::collections::BTreeMap;

/// What a permutation defines: name -> value. Flags have an empty value.
pub(crate) type Defines = BTreeMap<String, String>;

/// One shader to build.
pub(crate) struct Permutation {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) defines: Defines,
}

pub(crate) fn parse(table: &str) -> Result<Vec<Permutation>, String> {
    let mut axes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut permutations = Vec::new();
    let mut never: Vec<Vec<&str>> = Vec::new();
    for line in table.lines().map(|line| line.split('#').next().unwrap_or("")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["axis", name, values @ ..] => {
                axes.insert(name, values.to_vec());
            }
            ["never", flags @ ..] => never.push(flags.to_vec()),
            [file, names @ ..] => permutations.extend(combinations(file, names, &axes)?),
        }
    }
    let excluded = |p: &Permutation| never.iter().any(|flags| flags.iter().all(|&flag| p.defines.contains_key(flag)));
    permutations.retain(|permutation| !excluded(permutation));
    Ok(permutations)
}

fn combinations(file: &str, names: &[&str], axes: &BTreeMap<&str, Vec<&str>>) -> Result<Vec<Permutation>, String> {
    let mut all = vec![Permutation { name: file.into(), file: file.into(), defines: Defines::new() }];
    for axis in names {
        let values = axes.get(axis).ok_or_else(|| format!("permutations: {file} varies along unknown axis {axis}"))?;
        let with = |base: &Permutation, value: &str| {
            let mut defines = base.defines.clone();
            defines.insert(axis.to_string(), value.to_string());
            defines.insert(format!("{axis}_{}", value.to_uppercase()), String::new());
            Permutation { name: format!("{}.{value}", base.name), file: file.into(), defines }
        };
        all = all.iter().flat_map(|base| values.iter().map(move |value| with(base, value))).collect();
    }
    Ok(all)
}
