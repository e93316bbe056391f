//! The control endpoint at work: who may, what is asked, what is told. `control.rs` has its words.

use launchgate_sdk::access::Access;
use launchgate_sdk::path::RequestPath;
use launchgate_sdk::{Level, RequestView, StreamContext, Timestamp, Verdict};

use crate::control::{self, Wish};
use crate::metrics::{self, Reason};
use crate::policy::{Canary, Exchange};
use crate::rollout::{Action, Cause};

impl Canary {
    /// The control endpoint; `None` where the request is none of its.
    pub(crate) fn serve(
        &mut self,
        view: &mut RequestView<'_>,
        exchange: &mut Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Option<Verdict> {
        let (path, guard) = self.settings.control.as_ref()?;
        if !path.exempts(RequestPath::read(view.headers().path())) {
            return None;
        }
        match guard.control(view) {
            Access::Off => return None,
            Access::Refuse => {
                cx.fx.count(metrics::control(cx.metrics, "refused"));
                return Some(Verdict::Reply(control::not_found()));
            }
            Access::Grant => {}
        }
        exchange.control = true;
        Some(match Wish::read(view.headers(), view.end_of_stream) {
            Wish::Body => Verdict::AwaitBody(control::BODY_LIMIT),
            wish => self.fulfil(wish, cx),
        })
    }

    pub(crate) fn fulfil(&mut self, wish: Wish, cx: &mut StreamContext<'_>) -> Verdict {
        self.sync(cx);
        let (result, reply) = match wish {
            Wish::Show => ("shown", self.shown(cx)),
            Wish::Act(action) => match self.act(action, cx) {
                Ok(()) => ("done", self.shown(cx)),
                Err(refusal) => ("conflict", control::refused(refusal)),
            },
            Wish::Method => ("invalid", control::wrong_method()),
            Wish::Body | Wish::Unknown => ("invalid", control::unknown_action()),
        };
        cx.fx.count(metrics::control(cx.metrics, result));
        Verdict::Reply(reply)
    }

    fn act(
        &mut self,
        action: Action,
        cx: &mut StreamContext<'_>,
    ) -> Result<(), crate::rollout::Refusal> {
        let before = self.rollout.end;
        let now = cx.now.wall;
        self.rollout.act(action, now, &mut cx.state())?;
        if before.is_none()
            && self
                .rollout
                .end
                .is_some_and(|end| end.cause == Cause::Abort)
        {
            cx.fx.count(self.series.rollbacks(cx.metrics, Cause::Abort));
        }
        cx.fx.move_gauge(self.series.revision, 1);
        self.show(now, cx.fx);
        cx.log(Level::Warn, || {
            format!(
                "an operator changed the rollout: rollout={} action={action:?} stage={}",
                self.settings.rollout,
                self.rollout.stage(now)
            )
        });
        Ok(())
    }

    fn shown(&mut self, cx: &mut StreamContext<'_>) -> launchgate_sdk::Reply {
        let now = cx.now.wall;
        let stage = self.rollout.stage(now);
        let ended = self.ended(cx);
        let share = if ended.is_some() {
            0
        } else {
            self.rollout.schedule.share(stage)
        };
        let paused = self.rollout.position.held.is_some();
        let finished = stage == self.rollout.schedule.count() && share >= crate::identity::BUCKETS;
        let state = match ended {
            Some(Reason::Aborted) => "aborted",
            Some(_) => "rolled_back",
            None if paused => "paused",
            None if stage == 0 => "waiting",
            None if finished => "finished",
            None => "running",
        };
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let next = self
            .rollout
            .schedule
            .next_at(stage)
            .filter(|_| !paused && ended.is_none());
        control::shown(&control::View {
            rollout: &self.settings.rollout,
            mode: if self.settings.report {
                "report"
            } else {
                "enforce"
            },
            state,
            stage,
            stages: self.rollout.schedule.count(),
            percent: f64::from(share) / 10_000.0,
            paused,
            start: time(self.rollout.schedule.start()),
            next_stage_at: time(next),
            rolled_back: self.rollout.end.map(|end| control::EndView {
                cause: end.cause.as_str(),
                at: end.at.to_string(),
            }),
            fallback: cx.ports.gauge(self.series.fallback) > 0,
            window: self.counted(cx),
        })
    }
}
