//! A module made of several policies: one VM, one filter, one crossing per phase.
//!
//! 1. Each part has its own section of the configuration; an absent section is off.
//! 2. Requests and ends pass the parts in the order written, responses in reverse, as in a chain of filters. After a reply
//!    by a part, only it and the parts before it see the response.
//! 3. All parts share one view: one snapshot of the headers, each attribute read once, one write-back.

/// Composes policies: `compose! { /// docs  pub struct Suite("suite") { metrics: Metrics, tls: Tls } }`. A field's name with
/// `_` is the key of its section.
#[macro_export]
macro_rules! compose {
    ($(#[$doc:meta])* pub struct $name:ident($label:literal) { $($field:ident: $policy:ty),+ $(,)? }) => {
        $(#[$doc])*
        pub struct $name { $($field: Option<$crate::Member<$policy>>,)+ }

        /// What the composition keeps of an exchange.
        #[derive(Default)]
        pub struct Exchange {
            replied: Option<usize>,
            awaiting: Option<usize>,
            $($field: <$crate::Member<$policy> as $crate::Module>::Exchange,)+
        }

        /// Which call an answer belongs to.
        #[allow(non_camel_case_types, reason = "named by the sections of the configuration")]
        pub enum Tag { $(
            #[doc = "A call of this part."]
            $field(<$crate::Member<$policy> as $crate::Module>::Tag),
        )+ }

        impl $name {
            /// The sections of the configuration, in the order of the request.
            pub const SECTIONS: &'static [&'static str] = &[$(stringify!($field)),+];
        }

        impl $crate::Module for $name {
            const NAME: &'static str = $label;
            const VERSION: &'static str = env!("CARGO_PKG_VERSION");
            const PHASES: $crate::Phases = $crate::Phases::NONE$(.or(<$policy as $crate::Policy>::PHASES))+;
            type Exchange = Exchange;
            type Tag = Tag;

            fn metrics() -> Vec<$crate::Family> {
                let mut families = Vec::new();
                $(families.extend_from_slice(<$policy as $crate::Policy>::METRICS);)+
                families
            }

            fn load(parsed: &$crate::config::Parsed, setup: &mut $crate::Setup<'_>) -> Result<Self, $crate::ConfigErrors> {
                let (common, mut errors) = parsed.common();
                errors.extend($crate::member::unknown_sections(parsed, Self::SECTIONS));
                let mut errors = errors.resolve(parsed);
                let Some(common) = common else { return Err(errors) };
                let mut part = setup.part(&common);
                $(let $field = match parsed.section(stringify!($field)) {
                    Some(section) => errors.keep(<$crate::Member<$policy> as $crate::Module>::load(&section, &mut part)),
                    None => None,
                };)+
                let (period, warnings) = (part.tick_period(), std::mem::take(&mut part.warnings));
                if let Some(period) = period {
                    setup.tick(period);
                }
                setup.warnings.extend(warnings);
                errors.into_result(Self { $($field),+ })
            }

            fn on_request(&mut self, view: &mut $crate::RequestView<'_>, exchange: &mut Exchange, cx: &mut $crate::StreamContext<'_>) -> $crate::Verdict {
                let mut position = 0;
                let mut rest = $crate::Verdict::Pass;
                $(if let Some(part) = &mut self.$field {
                    match part.on_request(view, &mut exchange.$field, cx) {
                        $crate::Verdict::Pass => {}
                        $crate::Verdict::Continue => rest = $crate::Verdict::Continue,
                        $crate::Verdict::Reply(reply) => {
                            exchange.replied = Some(position);
                            return $crate::Verdict::Reply(reply);
                        }
                        $crate::Verdict::AwaitBody(limit) => {
                            exchange.awaiting = Some(position);
                            exchange.replied = Some(position);
                            return $crate::Verdict::AwaitBody(limit);
                        }
                    }
                }
                position += 1;)+
                let _ = position;
                rest
            }

            fn on_body(&mut self, body: &[u8], exchange: &mut Exchange, cx: &mut $crate::StreamContext<'_>) -> $crate::Verdict {
                let mut position = 0;
                $(if exchange.awaiting == Some(position) {
                    if let Some(part) = &mut self.$field {
                        return part.on_body(body, &mut exchange.$field, cx);
                    }
                }
                position += 1;)+
                let _ = position;
                $crate::Verdict::Continue
            }

            fn on_response(&mut self, view: &mut $crate::ResponseView<'_>, exchange: &mut Exchange, cx: &mut $crate::StreamContext<'_>) {
                let last = exchange.replied.unwrap_or(usize::MAX);
                $crate::compose!(@reverse self, view, exchange, cx, last, [] $($field)+);
            }

            fn on_end(&mut self, view: &$crate::EndView<'_>, exchange: &mut Exchange, cx: &mut $crate::StreamContext<'_>) {
                $(if let Some(part) = &mut self.$field {
                    part.on_end(view, &mut exchange.$field, cx);
                })+
            }

            fn on_tick<T>(&mut self, cx: &mut $crate::RootContext<'_, T>, wrap: impl Fn(Tag) -> T) {
                $(if let Some(part) = &mut self.$field {
                    part.on_tick(cx, |tag| wrap(Tag::$field(tag)));
                })+
            }

            fn on_answer<T>(&mut self, tag: Tag, answer: $crate::Answer, cx: &mut $crate::RootContext<'_, T>, wrap: impl Fn(Tag) -> T) {
                match tag { $(
                    Tag::$field(tag) => if let Some(part) = &mut self.$field {
                        part.on_answer(tag, answer, cx, |tag| wrap(Tag::$field(tag)));
                    },
                )+ }
            }
        }
    };
    // Reverses the parts, each with the number that it has in the order of the request.
    (@reverse $self:ident, $view:ident, $exchange:ident, $cx:ident, $last:ident, [$($done:ident)*] $next:ident $($rest:ident)*) => {
        $crate::compose!(@reverse $self, $view, $exchange, $cx, $last, [$next $($done)*] $($rest)*);
    };
    (@reverse $self:ident, $view:ident, $exchange:ident, $cx:ident, $last:ident, [$($field:ident)+]) => {
        let mut position = Self::SECTIONS.len();
        $(position -= 1;
        if position <= $last && let Some(part) = &mut $self.$field {
            part.on_response($view, &mut $exchange.$field, $cx);
        })+
    };
}
