//! Regular expressions in RE2's syntax, with RE2's error texts and limits, run by the regex crate.
//! Used for offer constraints; knows nothing of attributes.
//!
//! The two syntaxes differ in corners (`{` alone, `&&` in a class, `\Q..\E`, ASCII `\d`), so a
//! pattern is parsed here by RE2's rules and handed on in a form that has no such corners.

mod class;
mod parser;
#[cfg(test)]
mod tests;

use regex::{Regex, RegexBuilder};

/// Bytes of a compiled RE2 program before its first instruction, about.
const PROGRAM_HEADER_BYTES: u64 = 432;

/// Bytes of one instruction of a compiled RE2 program.
const INSTRUCTION_BYTES: u64 = 16;

/// Instructions an RE2 program may have when its memory is not limited.
const UNLIMITED_INSTRUCTIONS: u64 = 100_000;

/// Memory the regex crate may take for one pattern that passed RE2's limits.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// How large a pattern's program may be.
///
/// The regex crate builds another program than RE2, so its size is computed by RE2's rules; close
/// to a limit the result may differ from RE2's by a few instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `--offer_constraints_re2_max_mem`, in bytes; 0 means no limit.
    pub max_mem_bytes: u64,
    /// `--offer_constraints_re2_max_program_size`, in instructions.
    pub max_program_size: u64,
}

impl Default for Limits {
    /// The defaults of the master's flags.
    fn default() -> Self {
        Limits {
            max_mem_bytes: 4096,
            max_program_size: 100,
        }
    }
}

/// Compiles a pattern into a regex that matches whole texts only, as `RE2::FullMatch` does.
///
/// The error is Mesos's text, e.g. `Failed to construct regex from pattern '(': missing ): (`.
pub fn compile(pattern: &str, limits: Limits) -> Result<Regex, String> {
    let failed =
        |error: String| format!("Failed to construct regex from pattern '{pattern}': {error}");
    let parsed = parser::parse(pattern).map_err(failed)?;
    let too_large = || failed("pattern too large - compile failed".to_string());
    if parsed.size.instructions() > max_instructions(limits.max_mem_bytes) {
        return Err(too_large());
    }
    if parsed.size.program() > limits.max_program_size {
        return Err(format!(
            "Regex '{pattern}' is too complex: program size of {} is larger than maximum of {} \
             allowed",
            parsed.size.program(),
            limits.max_program_size
        ));
    }
    RegexBuilder::new(&format!(r"\A(?:{})\z", parsed.pattern))
        .size_limit(MAX_REGEX_BYTES)
        .build()
        .map_err(|_| too_large())
}

/// RE2 gives two thirds of its memory to the program, the rest to its reverse.
fn max_instructions(max_mem_bytes: u64) -> u64 {
    if max_mem_bytes == 0 {
        return UNLIMITED_INSTRUCTIONS;
    }
    let program = (max_mem_bytes / 3).saturating_mul(2);
    program.saturating_sub(PROGRAM_HEADER_BYTES) / INSTRUCTION_BYTES
}
