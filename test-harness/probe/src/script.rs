//! Scripts: lines `name.phase: operation arguments…`, several phases as
//! `name.phase|phase`, those of an exchange as `name.every`. A request chooses a script by its `x-probe` header; what happens on the
//! root context follows the script `root`. In arguments `%XX` is a byte, `_` is the empty text.

const EVERY: &[&str] = &[
    "request_headers",
    "request_body.end",
    "response_headers",
    "response_body.part",
    "response_body.end",
    "response_trailers",
    "log",
    "done",
];

/// An operation, and its text for the log.
#[derive(Clone)]
pub struct Line {
    /// As written.
    pub text: String,
    words: Vec<Vec<u8>>,
}

/// All scripts of a plugin.
#[derive(Default)]
pub struct Scripts {
    lines: Vec<(String, Line)>,
}

impl Scripts {
    /// Parses the plugin's configuration.
    pub fn parse(text: &str) -> Self {
        let mut scripts = Self::default();
        for line in text.lines() {
            let Some((place, text)) = line.trim().split_once(": ") else {
                continue;
            };
            let (script, phases) = place.split_once('.').unwrap_or((place, ""));
            let line = Line {
                text: text.trim().to_owned(),
                words: text.split_whitespace().map(decode).collect(),
            };
            let phases: Vec<&str> = if phases == "every" {
                EVERY.to_vec()
            } else {
                phases.split('|').collect()
            };
            for phase in phases {
                scripts
                    .lines
                    .push((format!("{script}.{phase}"), line.clone()));
            }
        }
        scripts
    }

    /// The operations of a script in a phase.
    pub fn of(&self, script: &str, phase: &str) -> Vec<Line> {
        let place = format!("{script}.{phase}");
        let found = self.lines.iter().filter(|(known, _)| *known == place);
        found.map(|(_, line)| line.clone()).collect()
    }
}

impl Line {
    /// The operation's name.
    pub fn name(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or("")
    }

    /// An argument, empty where there is none.
    pub fn bytes(&self, place: usize) -> &[u8] {
        self.words.get(place).map_or(b"", Vec::as_slice)
    }

    /// A number; 0 where there is none.
    pub fn number(&self, place: usize) -> i64 {
        std::str::from_utf8(self.bytes(place))
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }

    /// An unsigned number.
    pub fn u32(&self, place: usize) -> u32 {
        self.number(place) as u32
    }

    /// The arguments from `place` on, each `name=value`, as the ABI serialises pairs.
    pub fn pairs(&self, place: usize) -> Vec<u8> {
        let pairs: Vec<(&[u8], &[u8])> = self
            .words
            .iter()
            .skip(place)
            .map(|word| split(word))
            .collect();
        let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
        for (name, value) in &pairs {
            out.extend((name.len() as u32).to_le_bytes());
            out.extend((value.len() as u32).to_le_bytes());
        }
        for (name, value) in pairs {
            out.extend([name, b"\0", value, b"\0"].concat());
        }
        out
    }

    /// An argument `a,b` as a property path.
    pub fn path(&self, place: usize) -> Vec<u8> {
        self.bytes(place)
            .split(|byte| *byte == b',')
            .collect::<Vec<_>>()
            .join(&0)
    }
}

fn split(word: &[u8]) -> (&[u8], &[u8]) {
    match word.iter().position(|byte| *byte == b'=') {
        Some(place) => (&word[..place], &word[place + 1..]),
        None => (word, b""),
    }
}

fn decode(word: &str) -> Vec<u8> {
    if word == "_" {
        return Vec::new();
    }
    let bytes = word.as_bytes();
    let (mut out, mut place) = (Vec::new(), 0);
    while place < bytes.len() {
        let code = (bytes[place] == b'%')
            .then(|| word.get(place + 1..place + 3))
            .flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                place += 3;
            }
            None => {
                out.push(bytes[place]);
                place += 1;
            }
        }
    }
    out
}
