//! What a phase is fed: headers, and bodies in pieces.

use anyhow::{Context as _, bail};

use super::PhaseSuite;
use super::schema::{Header, Input, Test};

/// Header names and values.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

impl PhaseSuite {
    /// The headers of an input; those of one name are joined with `, `.
    pub(super) fn headers(&self, input: &Input, request: bool) -> anyhow::Result<Pairs> {
        let serialised = match &input.file {
            Some(path) => self.read_data(path)?,
            None => input.content.0.clone(),
        };
        if serialised.is_empty() {
            let pair = |header: &Header| (header.key.clone().into_bytes(), header.value.0.clone());
            return Ok(joined(input.header.iter().map(pair)));
        }
        let text = String::from_utf8(serialised).context("headers that are no text")?;
        let mut lines = text.lines().take_while(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let mut pairs = if request {
            request_line(first)?
        } else {
            status_line(first)?
        };
        let absolute = pairs.iter().any(|(name, _)| name == b":scheme");
        for line in lines {
            let (name, value) = line
                .split_once(':')
                .with_context(|| format!("`{line}`: expected NAME: VALUE"))?;
            let name = name.trim().to_ascii_lowercase();
            let pair = match name.as_str() {
                "host" if request && absolute => continue,
                "host" if request => (b":authority".to_vec(), value),
                _ => (name.into_bytes(), value),
            };
            pairs.push((pair.0, pair.1.trim().as_bytes().to_vec()));
        }
        Ok(joined(pairs))
    }

    /// A body, cut into pieces by the test's plan.
    pub(super) fn chunks(&self, test: &Test, input: &Input) -> anyhow::Result<Vec<Vec<u8>>> {
        let body = match &input.file {
            Some(path) => self.read_data(path)?,
            None => input.content.0.clone(),
        };
        let (size, most) = match (test.num_chunks, test.chunk_size) {
            (Some(_), Some(_)) => bail!("expected one of `num_chunks` and `chunk_size`"),
            (Some(count), None) => {
                let count = usize::try_from(count.max(1))?;
                (body.len() / count, count)
            }
            (None, Some(size)) => (usize::try_from(size)?, usize::MAX),
            (None, None) => (body.len(), 1),
        };
        let mut chunks = Vec::new();
        let mut rest = body.as_slice();
        while chunks.len() + 1 < most && rest.len() > size.max(1) {
            let (chunk, after) = rest.split_at(size.max(1));
            chunks.push(chunk.to_vec());
            rest = after;
        }
        chunks.push(rest.to_vec());
        Ok(chunks)
    }
}

fn request_line(line: &str) -> anyhow::Result<Pairs> {
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        bail!("`{line}`: expected METHOD TARGET HTTP/1.1");
    };
    let mut pairs = vec![(b":method".to_vec(), method.as_bytes().to_vec())];
    if target.starts_with('/') {
        pairs.push((b":path".to_vec(), target.as_bytes().to_vec()));
        return Ok(pairs);
    }
    let uri: http::Uri = target
        .parse()
        .with_context(|| format!("`{target}` is no URI"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    for (name, value) in [
        (":scheme", uri.scheme_str()),
        (":path", Some(path)),
        (
            ":authority",
            uri.authority().map(http::uri::Authority::as_str),
        ),
    ] {
        let value = value.with_context(|| format!("`{target}` has no {name}"))?;
        pairs.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }
    Ok(pairs)
}

fn status_line(line: &str) -> anyhow::Result<Pairs> {
    let code = line.split_whitespace().nth(1);
    let code = code.with_context(|| format!("`{line}`: expected HTTP/1.1 CODE"))?;
    Ok(vec![(b":status".to_vec(), code.as_bytes().to_vec())])
}

/// Headers of one name become one, with their values joined.
pub fn joined(pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Pairs {
    let mut all: Pairs = Vec::new();
    for (name, value) in pairs {
        match all
            .iter_mut()
            .find(|(known, _)| known.eq_ignore_ascii_case(&name))
        {
            Some((_, present)) => {
                present.extend_from_slice(b", ");
                present.extend_from_slice(&value);
            }
            None => all.push((name, value)),
        }
    }
    all
}
