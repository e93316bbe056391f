//! `rename_all`, as serde does it: fields are snake_case in Rust, variants PascalCase.

/// How names are written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Lower,
    Snake,
    Camel,
}

impl Case {
    pub(crate) fn named(name: &str) -> Option<Self> {
        [
            ("lowercase", Self::Lower),
            ("snake_case", Self::Snake),
            ("camelCase", Self::Camel),
        ]
        .into_iter()
        .find_map(|(known, case)| (known == name).then_some(case))
    }

    pub(crate) fn of_field(self, name: &str) -> String {
        if self != Self::Camel {
            return name.to_owned();
        }
        let mut words = name.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |written, word| written + &capitalised(word))
    }

    pub(crate) fn of_variant(self, name: &str) -> String {
        match self {
            Self::Lower => name.to_ascii_lowercase(),
            Self::Camel => {
                let mut letters = name.chars();
                letters.next().map_or(String::new(), |first| {
                    first.to_ascii_lowercase().to_string() + letters.as_str()
                })
            }
            Self::Snake => {
                let mut written = String::new();
                for letter in name.chars() {
                    if letter.is_ascii_uppercase() && !written.is_empty() {
                        written.push('_');
                    }
                    written.push(letter.to_ascii_lowercase());
                }
                written
            }
        }
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_serde_writes_them() {
        assert_eq!(Case::Camel.of_field("result_type"), "resultType");
        assert_eq!(Case::Snake.of_field("max_age"), "max_age");
        assert_eq!(Case::Snake.of_variant("ClusterHeader"), "cluster_header");
        assert_eq!(Case::Snake.of_variant("Last4"), "last4");
        assert_eq!(Case::Camel.of_variant("FirstSeen"), "firstSeen");
        assert_eq!(Case::Lower.of_variant("Enforce"), "enforce");
    }
}
