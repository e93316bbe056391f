//! The client's end of the chain: what it gets, and when its stream is over.

use super::Router;
use crate::emulator::chain::Chain;
use crate::emulator::exchange::{Exchange, ExchangeRef};
use crate::emulator::header_map::HeaderMap;
use crate::scenario::host::Response;

impl Router {
    /// Headers reach the client.
    pub fn response_headers(&self, chain: &Chain, exchange: &ExchangeRef, end: bool) {
        let status = {
            let exchange = exchange.borrow();
            let text = exchange
                .response
                .as_ref()
                .map(|response| response.text(":status").to_owned());
            text.and_then(|text| text.parse::<u16>().ok())
        };
        let Some(status) = status else {
            let text = "missing required header: :status";
            let details =
                "filter_removed_required_response_headers{missing_required_header:_:status}";
            return self.refuse(chain, exchange, 502, text, details, 0);
        };
        {
            let mut exchange = exchange.borrow_mut();
            exchange.info.response_code = Some(status);
            self.sign(&mut exchange);
            let headers = client_headers(&exchange, status, end);
            exchange.client = Some(Response {
                status,
                headers,
                ..Response::default()
            });
        }
        if end {
            self.close(chain, exchange);
        }
    }

    /// `server` and `date` are Envoy's, made after the filters.
    pub fn sign(&self, exchange: &mut Exchange) {
        let since = std::time::Duration::from_nanos(self.world.borrow().clock.wall());
        let Some(response) = &mut exchange.response else {
            return;
        };
        if response.get(b"date").is_none() {
            let date = http_date(std::time::UNIX_EPOCH + since);
            response.add(b"date", date.as_bytes());
        }
        response.set(b"server", b"envoy");
    }

    /// A piece of the body reaches the client.
    pub fn response_data(&self, chain: &Chain, exchange: &ExchangeRef, chunk: Vec<u8>, end: bool) {
        {
            let mut exchange = exchange.borrow_mut();
            exchange.info.response_size += chunk.len() as u64;
            if let Some(client) = &mut exchange.client {
                client.body.extend(chunk);
            }
        }
        if end {
            self.close(chain, exchange);
        }
    }

    /// Trailers reach the client.
    pub fn response_trailers(&self, chain: &Chain, exchange: &ExchangeRef) {
        self.close(chain, exchange);
    }

    fn close(&self, chain: &Chain, exchange: &ExchangeRef) {
        {
            let mut exchange = exchange.borrow_mut();
            let exchange = &mut *exchange;
            let head = exchange.request.get(b":method") == Some(b"HEAD");
            if let Some(client) = &mut exchange.client {
                let length = client
                    .headers
                    .iter()
                    .find(|(name, _)| name == b"content-length");
                let length = length
                    .and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<usize>().ok());
                match length {
                    Some(0) => client.trailers.clear(),
                    None => {
                        client.trailers = exchange
                            .response_trailers
                            .as_ref()
                            .map(HeaderMap::regular)
                            .unwrap_or_default()
                    }
                    Some(_) => {}
                }
                if let Some(length) =
                    length.filter(|_| !head && exchange.info.protocol == "HTTP/1.1")
                {
                    if client.body.len() < length {
                        let there = client.body.len();
                        exchange.hung = Some(format!(
                            "the client waits for {length} bytes of body (content-length) and gets {there}"
                        ));
                    }
                    client.body.truncate(length);
                }
            }
        }
        chain.finish(exchange, true);
    }
}

/// Headers as the codec writes them: it frames the body.
fn client_headers(exchange: &Exchange, status: u16, end: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut headers = exchange
        .response
        .as_ref()
        .map(HeaderMap::regular)
        .unwrap_or_default();
    headers.retain(|(name, _)| name != b"transfer-encoding");
    let sized = headers.iter().any(|(name, _)| name == b"content-length");
    let head = exchange.request.get(b":method") == Some(b"HEAD");
    let http1 = exchange.info.protocol == "HTTP/1.1";
    if !sized && http1 && status != 204 && status != 304 && status >= 200 && !head {
        if end {
            headers.push((b"content-length".to_vec(), b"0".to_vec()));
        } else {
            headers.push((b"transfer-encoding".to_vec(), b"chunked".to_vec()));
        }
    }
    headers
}

/// IMF-fixdate (RFC 9110, section 5.6.7).
fn http_date(time: std::time::SystemTime) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let iso = humantime::format_rfc3339_seconds(time).to_string();
    let part = |from: usize, to: usize| iso.get(from..to).unwrap_or_default();
    let month = part(5, 7)
        .parse::<usize>()
        .ok()
        .and_then(|month| MONTHS.get(month - 1))
        .copied()
        .unwrap_or_default();
    let days = time
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 86_400);
    let day = DAYS
        .get(usize::try_from(days % 7).unwrap_or(0))
        .copied()
        .unwrap_or_default();
    format!(
        "{day}, {} {month} {} {} GMT",
        part(8, 10),
        part(0, 4),
        part(11, 19)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_fixed_form() {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        assert_eq!(http_date(time), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
