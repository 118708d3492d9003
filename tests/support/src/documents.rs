//! Reads the commands and configuration that the documents show, so that tests can try them.

use std::fs;
use std::path::PathBuf;

use crate::repository;

/// The allowed languages of blocks. A block in any other language would escape all tests.
const LANGUAGES: [&str; 7] = ["sh", "bash", "console", "toml", "json", "text", "rust"];

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// The line of its fence: `docs/guide.md:12`.
    pub place: String,
    pub language: String,
    pub text: String,
}

/// Lists every document for people: those in the root, in `docs/` and in `docs/design/`.
pub fn documents() -> Vec<PathBuf> {
    let root = repository();
    let mut found: Vec<PathBuf> = [root.clone(), root.join("docs"), root.join("docs/design")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("the folder is there"))
        .map(|entry| entry.expect("its entries can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.sort();
    found
}

/// Returns a document's path below the repository.
fn name(document: &std::path::Path) -> String {
    document
        .strip_prefix(repository())
        .expect("documents lie in the repository")
        .display()
        .to_string()
}

fn read(document: &std::path::Path) -> String {
    fs::read_to_string(document).unwrap_or_else(|error| panic!("{}: {error}", document.display()))
}

/// Returns the blocks of every document that are in one of `languages`.
pub fn blocks(languages: &[&str]) -> Vec<Block> {
    let mut found = Vec::new();
    for document in documents() {
        let name = name(&document);
        let mut open: Option<Block> = None;
        for (number, line) in read(&document).lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (None, Some(language)) => {
                    let place = format!("{name}:{}", number + 1);
                    assert!(
                        LANGUAGES.contains(&language),
                        "{place}: a block's language is one of {LANGUAGES:?}, and not {language:?}"
                    );
                    open = Some(Block {
                        place,
                        language: language.to_owned(),
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => found.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{name}: a block does not end");
    }
    found.retain(|block| languages.contains(&block.language.as_str()));
    found
}

/// Returns what a reader would type into a shell: whole blocks, and of sessions the lines after the prompt.
pub fn scripts() -> Vec<Block> {
    let mut scripts = blocks(&["sh", "bash", "console"]);
    for script in &mut scripts {
        if script.language == "console" {
            let typed = script.text.lines().filter_map(|line| line.strip_prefix("$ "));
            script.text = typed.flat_map(|line| [line, "\n"]).collect();
        }
    }
    scripts
}

/// Returns every command of `program` in the documents' scripts, as words, with its place.
pub fn commands_of(program: &str) -> Vec<(String, Vec<String>)> {
    let of_script = |script: Block| {
        let commands = commands(&script.text).into_iter();
        commands.map(move |words| (script.place.clone(), words))
    };
    let all = scripts().into_iter().flat_map(of_script);
    all.filter(|(_, words)| words.first().is_some_and(|word| word == program)).collect()
}

/// Returns every code span of the documents' prose and tables that begins with `program`, as words, with its place.
pub fn mentions_of(program: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for document in documents() {
        let (name, text) = (name(&document), read(&document));
        let mut is_code = false;
        for (number, line) in text.lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            if is_code {
                continue;
            }
            for span in line.split('`').skip(1).step_by(2) {
                let words: Vec<String> = span.split_whitespace().map(str::to_owned).collect();
                if words.len() > 1 && words[0] == program {
                    found.push((format!("{name}:{}", number + 1), words));
                }
            }
        }
    }
    found
}

/// Splits a script into its simple commands, as words. Supports what the documents use: quotes, pipes, lists, groups, redirections,
/// comments and assignments before a command.
fn commands(script: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut is_target = false;
    let mut letters = script.chars().chain(['\n']).peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => word
                .get_or_insert_default()
                .extend(letters.by_ref().take_while(|&letter| letter != '\'')),
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(letter) = letters.next().filter(|&letter| letter != '"') {
                    word.extend(if letter == '\\' { letters.next() } else { Some(letter) });
                }
            }
            '\\' if letters.next_if_eq(&'\n').is_some() => {}
            '\\' => word.get_or_insert_default().extend(letters.next()),
            '#' if word.is_none() => while letters.next_if(|&letter| letter != '\n').is_some() {},
            ' ' | '\t' | '\n' | ';' | '|' | '&' | '(' | ')' | '<' | '>' => {
                let redirects = matches!(letter, '<' | '>');
                if let Some(ended) = word.take() {
                    let is_descriptor = redirects && ended.bytes().all(|byte| byte.is_ascii_digit());
                    if !std::mem::take(&mut is_target) && !is_descriptor {
                        commands.last_mut().expect("there is always a last command").push(ended);
                    }
                }
                if redirects {
                    while letters.next_if(|letter| " >&".contains(*letter)).is_some() {}
                    is_target = true;
                } else if !matches!(letter, ' ' | '\t') {
                    commands.push(Vec::new());
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    for command in &mut commands {
        let is_before = |word: &String| ["{", "}", "sudo", "!", "if", "then", "do"].contains(&word.as_str()) || is_assignment(word);
        let n_before = command.iter().take_while(|word| is_before(word)).count();
        command.drain(..n_before);
    }
    commands.retain(|command| !command.is_empty());
    commands
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_script_is_taken_apart_as_a_shell_does() {
        let check = |script: &str, expected: &[&[&str]]| assert_eq!(commands(script), expected, "{script}");
        check("a b\nc  d # e\n", &[&["a", "b"], &["c", "d"]]);
        check("a 'b | c' \"d \\\" $e\" f\\ g", &[&["a", "b | c", "d \" $e", "f g"]]);
        check("a | b && c || d; e &", &[&["a"], &["b"], &["c"], &["d"], &["e"]]);
        check("a > b c 2>&1 | d >>e", &[&["a", "c"], &["d"]]);
        check("X=1 Y_Z=\"2 3\" a b=c", &[&["a", "b=c"]]);
        check("a | { read b && c \"$b\"; }", &[&["a"], &["read", "b"], &["c", "$b"]]);
        check("a \\\n  b", &[&["a", "b"]]);
        check("sudo a", &[&["a"]]);
    }

    #[test]
    fn the_scripts_of_the_documents_are_shell() {
        let scripts = scripts();
        assert!(scripts.len() >= 20, "only {} scripts were found", scripts.len());
        for script in scripts {
            let mut bash = Command::new("bash")
                .arg("-n")
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("bash is there");
            let mut input = bash.stdin.take().expect("it was piped");
            input.write_all(script.text.as_bytes()).expect("bash reads it");
            drop(input);
            let said = bash.wait_with_output().expect("bash ends");
            assert!(
                said.status.success(),
                "{}: {}\n{}",
                script.place,
                String::from_utf8_lossy(&said.stderr),
                script.text
            );
        }
    }

    #[test]
    fn files_that_the_documents_name_are_there() {
        const FOLDERS: [&str; 9] = [
            "ctl",
            "daemon",
            "desktop",
            "docs",
            "models",
            "packaging",
            "scripts",
            "shared",
            "tests",
        ];
        let mut n_files = 0;
        for document in documents() {
            let (name, text) = (name(&document), read(&document));
            // ARCHITECTURE.md names files relative to the folder under discussion.
            if name == "ARCHITECTURE.md" {
                continue;
            }
            for span in text.split('`').filter(|span| !span.contains([' ', '\n', '*', '…', '<'])) {
                let Some((folder, _)) = span.split_once('/') else { continue };
                // A part in capitals is a placeholder.
                let is_pattern = span
                    .split(['/', '.'])
                    .any(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase()));
                if FOLDERS.contains(&folder) && !is_pattern {
                    n_files += 1;
                    let path = repository().join(span);
                    assert!(path.try_exists().unwrap_or_default(), "{name}: there is no {span}");
                }
            }
        }
        assert!(n_files >= 40, "only {n_files} files were found");
    }

    /// Returns the anchor that GitHub gives a heading.
    fn anchor(heading: &str) -> String {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.collect::<String>().replace(' ', "-")
    }

    #[test]
    fn links_between_documents_lead_somewhere() {
        let mut n_links = 0;
        for document in documents() {
            let text = read(&document);
            for link in text
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split_once(')'))
                .map(|(link, _)| link)
            {
                if link.contains("://") {
                    continue;
                }
                n_links += 1;
                let (path, wanted) = link.split_once('#').map_or((link, None), |(path, wanted)| (path, Some(wanted)));
                let target = if path.is_empty() {
                    document.clone()
                } else {
                    document.parent().expect("a file has a folder").join(path)
                };
                let place = document.display();
                assert!(target.try_exists().unwrap_or_default(), "{place}: {link} leads nowhere");
                if let Some(wanted) = wanted {
                    let text = read(&target);
                    let mut headings = text.lines().filter(|line| line.starts_with('#'));
                    assert!(
                        headings.any(|heading| anchor(heading) == wanted),
                        "{place}: {link} names no heading"
                    );
                }
            }
        }
        assert!(n_links >= 20, "only {n_links} links were found");
    }
}
