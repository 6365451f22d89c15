//! What a shell's script reads and writes, as far as its words tell. No script is understood: this is about the words that
//! may name files of a program.

use std::{collections::BTreeSet, path::Path};

/// Words before a command that are not the command.
const PREFIXES: [&str; 10] = ["do", "then", "else", "{", "!", "exec", "time", "sudo", "env", "nohup"];

/// The words of a script, such as that of `sh -c`, without the files that it writes by `>`, `>>` or `tee`, wherever these
/// are named. A text without an operator is one word or several words.
pub(crate) fn words_read(script: &str) -> Vec<&str> {
    let mut words = Words::default();
    let mut rest = script;
    while let Some(first) = rest.chars().next() {
        let length = match Operator::at(rest) {
            Some((operator, length)) => {
                words.operator(operator);
                length
            }
            None if first.is_whitespace() => first.len_utf8(),
            None => {
                let end =
                    rest.find(|c: char| c.is_whitespace() || "|&;()<>".contains(c)).unwrap_or(rest.len());
                words.word(&rest[..end], &rest[end..]);
                end
            }
        };
        rest = &rest[length..];
    }
    let Words { read, written, .. } = words;
    read.into_iter().filter(|word| !written.contains(plain(word))).collect()
}

/// What stands between the words of a script.
#[derive(Clone, Copy)]
enum Operator {
    /// The next word is a file that is written.
    Output,
    /// The next word is read.
    Input,
    /// Another command begins.
    End,
}

impl Operator {
    /// The operator with which a text begins, and its length.
    fn at(text: &str) -> Option<(Self, usize)> {
        let output = [">(", "&>>", "&>", ">>", ">|", ">&", ">"];
        if let Some(operator) = output.into_iter().find(|operator| text.starts_with(operator)) {
            // `>(` is the beginning of a command.
            return Some(if operator == ">(" { (Self::End, 2) } else { (Self::Output, operator.len()) });
        }
        match text.chars().next()? {
            '<' => Some((Self::Input, 1)),
            '|' | '&' | ';' | '(' | ')' | '\n' => Some((Self::End, 1)),
            _ => None,
        }
    }
}

/// The words so far, and what the next one is.
struct Words<'s> {
    read: Vec<&'s str>,
    written: BTreeSet<&'s str>,
    /// The next word is the name of a command.
    begins: bool,
    /// The command is `tee`.
    to_tee: bool,
    redirected: Option<Operator>,
}

impl Default for Words<'_> {
    fn default() -> Self {
        Self { read: Vec::new(), written: BTreeSet::new(), begins: true, to_tee: false, redirected: None }
    }
}

impl<'s> Words<'s> {
    fn operator(&mut self, operator: Operator) {
        match operator {
            Operator::End => (self.begins, self.to_tee, self.redirected) = (true, false, None),
            Operator::Input | Operator::Output => self.redirected = Some(operator),
        }
    }

    fn word(&mut self, word: &'s str, after: &str) {
        // The number of the stream in `2> log`.
        if after.starts_with('>') && word.bytes().all(|byte| byte.is_ascii_digit()) {
            return;
        }
        let word = word.trim_matches(['"', '\'']);
        match self.redirected.take() {
            Some(Operator::Output) => {
                self.written.insert(plain(word));
                return;
            }
            Some(_) => {}
            None if self.to_tee && !word.starts_with('-') => {
                self.written.insert(plain(word));
                return;
            }
            None if self.begins && !PREFIXES.contains(&word) && !word.contains('=') => {
                self.begins = false;
                self.to_tee = Path::new(word).file_name().is_some_and(|name| name == "tee");
            }
            None => {}
        }
        self.read.push(word);
    }
}

/// The name of a file in the form in which it is compared.
fn plain(word: &str) -> &str {
    word.trim_start_matches("./")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_writes_is_left_out() {
        for script in [
            "a.py >> log",
            "a.py >log",
            "a.py > 'log' 2>&1",
            "a.py > ./log",
            "(a.py 2>| log; true)",
            "a.py &> log && true",
            "a.py >& log",
            "a.py | tee -a log",
            "a.py|tee log",
            "a.py | /usr/bin/tee log other",
            "true | tee log; a.py",
            "true | tee log;a.py",
            "a.py | tee log\n",
            "exec > >(tee log) 2>&1; a.py",
            "a.py > log; tail -n 1 log",
            "x > log\na.py log",
            "while true; do tee log; done | a.py",
        ] {
            let read = words_read(script);
            assert!(read.contains(&"a.py") && !read.contains(&"log"), "{script}: {read:?}");
        }
    }

    #[test]
    fn what_a_script_reads_is_not() {
        for script in [
            "a.py",
            "python3 a.py > log",
            "python3 'a.py'",
            "cd /; python3 a.py ${args}",
            "true | tee log\npython3 a.py",
            "true | tee log;python3 a.py",
            "true | tee log |python3 a.py",
            "true | tee >(python3 a.py) log",
            "for f in tee\ndo python3 a.py; done",
            "tee < a.py | sh",
            "# like tee\npython3 a.py",
            "x=\"$(true | tee log)\" python3 a.py",
            "python3 tee a.py",
            "grep '>' a.py",
            "sort 1>&2 a.py",
            "true&&python3 a.py",
            "python3<a.py",
        ] {
            let read = words_read(script);
            assert!(read.contains(&"a.py"), "{script}: {read:?}");
        }
        assert_eq!(words_read("sh -c 'python3 a.py ä'"), ["sh", "-c", "python3", "a.py", "ä"]);
        assert!(words_read("").is_empty());
    }
}
