//! Words that don't belong in this repository: it speaks of itself alone, not of who or what wrote it or where.

use super::{Finding, Texts};

// Written in halves, so that this file doesn't find itself.
const ANYWHERE: [&str; 7] = [
    concat!("cla", "ude"),
    concat!("anth", "ropic"),
    concat!("ai-", "generated"),
    concat!("/wo", "rk/"),
    concat!("/fa", "rm/"),
    concat!("this ", "session"),
    concat!("before", "-stop"),
];
const WHOLE: &str = concat!("l", "lm");
const NUMBERED: &str = concat!("iss", "ue ");

pub(super) fn check(texts: &Texts) -> Vec<Finding> {
    let read = texts.iter().filter(|(path, _)| !is_lock_file(path));
    read.flat_map(|(path, text)| file(path, text)).collect()
}

fn is_lock_file(path: &str) -> bool {
    path.ends_with(".lock") || path.ends_with("package-lock.json")
}

fn file(path: &str, text: &str) -> Vec<Finding> {
    let lines = std::iter::once((1, path)).chain(text.lines().enumerate().map(|(index, line)| (index + 1, line)));
    let words = lines.filter_map(|(line, text)| word(&text.to_ascii_lowercase()).map(|word| (line, word)));
    let message = |word| format!("`{word}` doesn't belong in the repository: say it in Seawall's own words");
    words.map(|(line, word)| Finding { path: path.to_owned(), line, message: message(word) }).collect()
}

/// The first unwanted word in a line of lower case.
fn word(line: &str) -> Option<String> {
    let anywhere = ANYWHERE.iter().find(|word| line.contains(**word)).map(|word| (*word).to_owned());
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let whole = || line.split(|c| !is_letter(c)).any(|word| word == WHOLE).then(|| WHOLE.to_owned());
    let numbered = || {
        let mut after = line.match_indices(NUMBERED).map(|(at, found)| &line[at + found.len()..]);
        let numbered = after.any(|rest| rest.trim_start_matches('#').starts_with(|c: char| c.is_ascii_digit()));
        numbered.then(|| format!("{NUMBERED}N"))
    };
    anywhere.or_else(whole).or_else(numbered)
}

#[cfg(test)]
mod tests {
    use super::super::assert_findings;
    use super::*;

    #[track_caller]
    fn check(text: &str, word: Option<&str>) {
        let expected = word
            .map(|word| format!("a.md:2: `{word}` doesn't belong in the repository: say it in Seawall's own words"));
        assert_findings(file("a.md", &format!("\n{text}\n")), &expected.as_deref().into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn each_word_is_found() {
        for word in ANYWHERE {
            check(&format!("by {}", word.to_ascii_uppercase()), Some(word));
        }
        check(concat!("an ", "LL", "M wrote"), Some(WHOLE));
        check(concat!("see is", "sue 12"), Some(concat!("iss", "ue N")));
        check(concat!("see Is", "sue #12"), Some(concat!("iss", "ue N")));
    }

    #[test]
    fn words_that_only_look_like_them_are_free() {
        check("fulfillment, llmx, reissue bonds, an issue of 12 bonds, framework/path", None);
    }
}
