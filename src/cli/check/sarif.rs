//! What was found as a SARIF 2.1.0 log, for tools that show findings beside the code: each reason is a result at the line of the script, with the kernels among its properties.

use super::grid::{Grid, Reason};
use crate::check::File;
use crate::diag::Severity;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where the format is described.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The log.
pub(super) fn log(files: &[File<'_>], grid: &Grid) -> Value {
    let codes: BTreeMap<&str, &str> = grid
        .reasons
        .iter()
        .map(|reason| (reason.diagnostic.code.as_str(), reason.diagnostic.code.title()))
        .collect();
    let rules: Vec<Value> = codes
        .iter()
        .map(|(id, title)| json!({ "id": id, "shortDescription": { "text": title } }))
        .collect();
    let results: Vec<Value> =
        grid.reasons.iter().map(|reason| result(files, grid, reason)).collect();
    let kernels: Vec<&str> = grid.rows.iter().map(|row| row.name.as_str()).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "ubpfc",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": { "kernels": kernels },
        }],
    })
}

fn result(files: &[File<'_>], grid: &Grid, reason: &Reason) -> Value {
    let diagnostic = &reason.diagnostic;
    let place = reason.sources.line_col(diagnostic.span);
    let source = reason.sources.file(diagnostic.span.file);
    let mut physical = json!({ "artifactLocation": { "uri": uri(&source.name) } });
    if place.line > 0 {
        let line = source.line(place.line);
        let characters =
            |bytes: usize| line.get(..bytes).map_or(0, |before| before.chars().count()) + 1;
        let start = (place.col as usize).saturating_sub(1);
        let end = start + diagnostic.span.range().len();
        if let Some(physical) = physical.as_object_mut() {
            let mut region = json!({
                "startLine": place.line,
                "startColumn": characters(start),
                "snippet": { "text": line },
            });
            if let Some(region) =
                region.as_object_mut().filter(|_| line.is_char_boundary(end) && end <= line.len())
            {
                region.insert("endColumn".into(), characters(end).into());
            }
            physical.insert("region".into(), region);
        }
    }
    let mut text = diagnostic.message.clone();
    for more in std::iter::once(&diagnostic.label).chain(&diagnostic.notes).chain(&diagnostic.help)
    {
        if !more.is_empty() {
            text.push('\n');
            text.push_str(more);
        }
    }
    let kernels: Vec<&str> = reason
        .kernels
        .iter()
        .filter_map(|index| Some(grid.rows.get(*index)?.name.as_str()))
        .collect();
    let file = files.get(reason.file);
    let programs = file.map_or(&[][..], File::programs);
    let programs: Vec<&str> = reason
        .programs
        .iter()
        .filter_map(|index| Some(programs.get(*index)?.name.as_str()))
        .collect();
    json!({
        "ruleId": diagnostic.code.as_str(),
        "level": if diagnostic.severity == Severity::Error { "error" } else { "warning" },
        "message": { "text": text },
        "locations": [{ "physicalLocation": physical }],
        "properties": { "kernels": kernels, "programs": programs },
    })
}

/// A file's name as a relative reference: what cannot stand in one is escaped.
fn uri(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
