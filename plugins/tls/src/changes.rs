//! What a response's headers are to become.
//!
//! 1. All changes are decided on one snapshot and written once: leaking headers, security headers, HSTS, cookies, `Location`.
//! 2. HSTS (RFC 6797): over secure transport exactly one (section 7.1), over plaintext none (section 7.2), none for an address
//!    (section 8.1.1).

use std::borrow::Cow;

use launchgate_sdk::{Headers, ResponseView, StreamContext};

use crate::authority::Authority;
use crate::hsts::Hsts;
use crate::location;
use crate::metrics::Edit;
use crate::policy::{Exchange, Tls};

/// The changes of one response.
pub(crate) struct Changes<'p> {
    leaking: Vec<String>,
    missing: Vec<(&'p str, Cow<'p, [u8]>)>,
    /// The only value of HSTS; an inner `None` removes it.
    hsts: Option<Option<Cow<'p, [u8]>>>,
    cookies: Option<Vec<Vec<u8>>>,
    location: Option<Vec<u8>>,
}

const HSTS: &str = "strict-transport-security";

impl<'p> Changes<'p> {
    /// Decides them.
    pub(crate) fn of(
        policy: &'p Tls,
        response: &Headers,
        exchange: &Exchange,
        cx: &StreamContext<'_>,
    ) -> Self {
        let location = || {
            let own = Authority::parse(&exchange.authority)?;
            location::upgrade(response.only("location")?, own)
        };
        Self {
            leaking: policy.headers.leaking(response),
            missing: policy.headers.missing(response),
            hsts: hsts_change(policy.hsts.as_ref(), response, exchange, cx),
            cookies: policy
                .cookies
                .as_ref()
                .and_then(|cookies| cookies.harden(response)),
            location: if exchange.secure { location() } else { None },
        }
    }

    /// Which kinds there are.
    pub(crate) fn kinds(&self) -> [(bool, Edit); 5] {
        [
            (!self.leaking.is_empty(), Edit::Leak),
            (!self.missing.is_empty(), Edit::SecurityHeader),
            (self.hsts.is_some(), Edit::Hsts),
            (self.cookies.is_some(), Edit::Cookie),
            (self.location.is_some(), Edit::Location),
        ]
    }

    /// Writes them. All names and values were checked at load, or came from the response itself: what the view refuses all the same, it
    /// counts.
    pub(crate) fn apply(self, view: &mut ResponseView<'_>) {
        let Self {
            leaking,
            missing,
            hsts,
            cookies,
            location,
        } = self;
        if leaking.is_empty()
            && missing.is_empty()
            && hsts.is_none()
            && cookies.is_none()
            && location.is_none()
        {
            return;
        }
        view.edit(|headers| {
            for name in &leaking {
                headers.remove(name);
            }
            for (name, value) in &missing {
                let _ = headers.set(name, value);
            }
            match hsts {
                Some(Some(value)) => drop(headers.set(HSTS, value)),
                Some(None) => headers.remove(HSTS),
                None => {}
            }
            if let Some(cookies) = cookies {
                headers.remove("set-cookie");
                for cookie in cookies {
                    let _ = headers.add("set-cookie", cookie);
                }
            }
            if let Some(location) = location {
                let _ = headers.set("location", location);
            }
        });
    }
}

/// What becomes of HSTS: nothing, the only value, or no value.
fn hsts_change<'p>(
    hsts: Option<&'p Hsts>,
    response: &Headers,
    exchange: &Exchange,
    cx: &StreamContext<'_>,
) -> Option<Option<Cow<'p, [u8]>>> {
    let mut upstream = response.all(HSTS);
    let first = upstream.next();
    let surplus = upstream.next().is_some();
    if !exchange.secure {
        return first.map(|_| None);
    }
    let hsts = hsts?;
    if !exchange.named {
        return first.map(|_| None);
    }
    match first {
        Some(own) if hsts.keeps_upstream => surplus.then(|| Some(Cow::Owned(own.to_vec()))),
        _ => {
            let wanted = hsts.value(cx.now.wall).as_bytes();
            (surplus || first != Some(wanted)).then_some(Some(Cow::Borrowed(wanted)))
        }
    }
}
