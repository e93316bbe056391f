//! Which route a request takes, and to which cluster.

use super::{Router, Target};
use crate::emulator::exchange::Exchange;
use crate::emulator::header_map::HeaderMap;
use crate::scenario::schema::Weighted;

impl Router {
    /// Matches the request's route and writes its names down.
    pub fn match_route(&self, exchange: &mut Exchange) {
        let path = exchange.request.get(b":path").unwrap_or_default();
        let found = self.routes.iter().position(|route| {
            path.starts_with(route.prefix.as_deref().unwrap_or("/").as_bytes())
                && route.headers.iter().all(|(name, value)| {
                    exchange.request.get(name.as_bytes()) == Some(value.as_bytes())
                })
        });
        // Envoy has no route for a request that says nothing of its scheme.
        let scheme = exchange
            .request
            .get(b"x-forwarded-proto")
            .unwrap_or_default();
        let found = found.filter(|_| !path.is_empty() && !scheme.is_empty());
        exchange.route = found;
        exchange.info.route_name = found
            .and_then(|index| self.routes.get(index))
            .map(|route| route.name.clone());
        exchange.info.cluster_name = match self.target(exchange) {
            Some(Target::Cluster(name)) => Some(name),
            _ => None,
        };
    }

    pub(super) fn target(&self, exchange: &Exchange) -> Option<Target> {
        let route = self.routes.get(exchange.route?)?;
        if let Some(direct) = &route.direct_response {
            return Some(Target::Direct(direct.status, direct.body.0.clone()));
        }
        let name = if let Some(header) = &route.cluster_header {
            exchange
                .request
                .get(header.as_bytes())
                .map(|value| String::from_utf8_lossy(value).into_owned())
        } else if let Some(weighted) = &route.weighted {
            weigh(weighted, &exchange.request, exchange.number)
        } else {
            route.cluster.clone()
        };
        let name = name.unwrap_or_default();
        let known = self.world.borrow().clusters.knows(&name);
        Some(if known {
            Target::Cluster(name)
        } else {
            Target::UnknownCluster
        })
    }
}

/// By the header's number modulo the total weight, or by the exchange's number where there is none.
fn weigh(weighted: &Weighted, request: &HeaderMap, number: u64) -> Option<String> {
    let total: u64 = weighted
        .clusters
        .iter()
        .map(|cluster| u64::from(cluster.weight))
        .sum();
    if total == 0 {
        return None;
    }
    let header = weighted
        .header
        .as_ref()
        .and_then(|name| request.text(name).parse::<u64>().ok());
    let mut dice =
        header.unwrap_or_else(|| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % total;
    weighted.clusters.iter().find_map(
        |cluster| match dice.checked_sub(u64::from(cluster.weight)) {
            Some(rest) => {
                dice = rest;
                None
            }
            None => Some(cluster.name.clone()),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_picks_the_weighted_cluster_modulo_the_total() {
        let cluster = |name: &str, weight| crate::scenario::schema::WeightedCluster {
            name: name.into(),
            weight,
        };
        let weighted = Weighted {
            header: Some("x-dice".into()),
            clusters: vec![cluster("a", 90), cluster("b", 10)],
        };
        let pick = |dice: &str| {
            let request = HeaderMap::of(
                crate::emulator::header_map::Side::Request,
                [(&b"x-dice"[..], dice.as_bytes())],
            );
            weigh(&weighted, &request, 1)
        };
        assert_eq!(pick("0").as_deref(), Some("a"));
        assert_eq!(pick("89").as_deref(), Some("a"));
        assert_eq!(pick("90").as_deref(), Some("b"));
        assert_eq!(pick("190").as_deref(), Some("b"));
    }
}
