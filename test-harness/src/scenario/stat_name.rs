//! Stat names as a scenario writes them (`x_total{method="GET"}`), and as Envoy has them (`x_totalmethod=.=GET;.;`).

use std::collections::BTreeMap;

use super::host::Stat;

/// A name with labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatName {
    family: String,
    labels: Vec<(String, String)>,
}

impl StatName {
    /// Parses `name` or `name{label="value",…}`; the quotes may be left out.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((family, rest)) = text.split_once('{') else {
            return Ok(StatName {
                family: text.to_owned(),
                labels: Vec::new(),
            });
        };
        let inner = rest
            .strip_suffix('}')
            .ok_or_else(|| format!("`{text}` lacks its closing brace"))?;
        let mut labels = Vec::new();
        let mut rest = inner.trim();
        while !rest.is_empty() {
            let (key, after) = rest
                .split_once('=')
                .ok_or_else(|| format!("`{text}`: expected label=\"value\""))?;
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted
                    .split_once('"')
                    .ok_or_else(|| format!("`{text}` lacks a quote"))?,
                None => after.split_once(',').map_or((after, ""), |(value, _)| {
                    (value, after.get(value.len()..).unwrap_or(""))
                }),
            };
            labels.push((key.trim().to_owned(), value.to_owned()));
            rest = after.trim_start_matches([',', ' ']);
        }
        labels.sort();
        Ok(StatName {
            family: family.trim().to_owned(),
            labels,
        })
    }

    /// Whether a stat of Envoy is this one: the same family, the same labels in any order.
    pub fn is(&self, stat: &str) -> bool {
        let Some(rest) = stat.strip_prefix(&self.family) else {
            return false;
        };
        let mut labels = Vec::new();
        for pair in rest.split_terminator(";.;") {
            match pair.split_once("=.=") {
                Some((key, value)) => labels.push((key.to_owned(), value.to_owned())),
                None => return false,
            }
        }
        labels.sort();
        (rest.is_empty() || rest.ends_with(";.;")) && labels == self.labels
    }

    /// Its value among all stats.
    pub fn find(&self, stats: &BTreeMap<String, Stat>) -> Option<Stat> {
        let from = stats.range(self.family.clone()..);
        let mut family = from.take_while(|(name, _)| name.starts_with(&self.family));
        family
            .find(|(name, _)| self.is(name))
            .map(|(_, stat)| *stat)
    }

    /// Names of this family that there are, for messages.
    pub fn family<'a>(&self, stats: &'a BTreeMap<String, Stat>) -> Vec<&'a str> {
        let from = stats.range(self.family.clone()..);
        from.take_while(|(name, _)| name.starts_with(&self.family))
            .map(|(name, _)| name.as_str())
            .take(12)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_match_in_any_order_and_only_whole() {
        let name = StatName::parse(r#"x_total{method="GET", code=200}"#).unwrap();
        assert!(name.is("x_totalmethod=.=GET;.;code=.=200;.;"));
        assert!(name.is("x_totalcode=.=200;.;method=.=GET;.;"));
        assert!(!name.is("x_totalmethod=.=GET;.;"));
        assert!(!name.is("x_total"));
        assert!(StatName::parse("x_total").unwrap().is("x_total"));
        assert!(!StatName::parse("x_total").unwrap().is("x_total_more"));
        assert!(
            StatName::parse(r#"x_total{a="b,c"}"#)
                .unwrap()
                .is("x_totala=.=b,c;.;")
        );
    }

    #[test]
    fn a_missing_brace_is_named() {
        assert_eq!(
            StatName::parse("x{a=1").unwrap_err(),
            "`x{a=1` lacks its closing brace"
        );
    }
}
