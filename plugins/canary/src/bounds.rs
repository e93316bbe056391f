//! How large or small a share can be, given what was counted.
//!
//! 1. **Exact** (Clopper and Pearson 1934): the lower bound of `k` of `n` at risk `a` is the largest share under which `k`
//!    or more of `n` happen with a chance of at most `a`. It never takes more risk than it says.
//! 2. **Score** (Wilson 1927): the share whose standard error just reaches what was counted. It speaks sooner, and for few
//!    counts takes more risk than it says; the judge uses it in the first window of a rollout only.
//! 3. A share is counts per million where it is compared exactly, and a float inside a bound only.

/// Whether the exact lower bound of `k` of `n` at `risk` is above the share `limit`.
pub(crate) fn exceeds(k: u64, n: u64, limit: f64, risk: f64) -> bool {
    k as f64 > n as f64 * limit && tail(k, n, limit) <= risk
}

/// Chance of `k` or more of `n`, each with the chance `p`. Needs `k` above `n * p`; below, it answers 1.
fn tail(k: u64, n: u64, p: f64) -> f64 {
    let (kf, nf) = (k as f64, n as f64);
    if k == 0 || kf <= nf * p {
        return 1.0;
    }
    if k > n || p <= 0.0 {
        return 0.0;
    }
    let mut term = (ln_choose(nf, kf) + kf * p.ln() + (nf - kf) * (-p).ln_1p()).exp();
    let (mut sum, mut i) = (term, kf);
    // Above the mean each term is smaller than the one before by a factor that itself shrinks.
    while i < nf && term > sum * 1e-12 {
        term *= (nf - i) / (i + 1.0) * p / (1.0 - p);
        sum += term;
        i += 1.0;
    }
    sum.min(1.0)
}

fn ln_choose(n: f64, k: f64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Stirling's series; below 16 the product itself.
fn ln_factorial(n: f64) -> f64 {
    if n < 16.0 {
        return (2..=n as u32).map(|factor| f64::from(factor).ln()).sum();
    }
    let half_ln_two_pi = 0.918_938_533_204_672_7;
    (n + 0.5) * n.ln() - n + half_ln_two_pi + 1.0 / (12.0 * n) - 1.0 / (360.0 * n * n * n)
}

/// A pair of bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    /// Clopper and Pearson.
    Exact,
    /// Wilson.
    Score,
}

impl Bound {
    /// Lower bound of the share behind `k` of `n`; 0 for nothing counted.
    pub(crate) fn lower(self, k: u64, n: u64, risk: f64) -> f64 {
        if k == 0 || n == 0 {
            return 0.0;
        }
        match self {
            Self::Exact => {
                let (mut low, mut high) = (0.0, k as f64 / n as f64);
                for _ in 0..40 {
                    let middle = f64::midpoint(low, high);
                    if tail(k, n, middle) <= risk {
                        low = middle
                    } else {
                        high = middle
                    }
                }
                low
            }
            Self::Score => {
                let (n, p, z) = (n as f64, k as f64 / n as f64, quantile(risk));
                let square = z * z / n;
                let half = z * ((p * (1.0 - p) + square / 4.0) / n).sqrt();
                ((p + square / 2.0 - half) / (1.0 + square)).max(0.0)
            }
        }
    }

    /// Upper bound of the share behind `k` of `n`; 1 for nothing counted.
    pub(crate) fn upper(self, k: u64, n: u64, risk: f64) -> f64 {
        1.0 - self.lower(n.saturating_sub(k), n, risk)
    }
}

/// The value that a standard normal variable exceeds with the chance `risk` (0 to 0.5), by bisection.
fn quantile(risk: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal_tail(middle) > risk {
            low = middle
        } else {
            high = middle
        }
    }
    f64::midpoint(low, high)
}

/// Chance that a standard normal variable exceeds `z`, for `z` of at least 0 (Abramowitz and Stegun 26.2.11 and 26.2.14).
fn normal_tail(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if z < 2.0 {
        // The series converges fast here, the continued fraction below does elsewhere.
        let (mut term, mut sum, mut i) = (z, z, 1.0);
        while term > 1e-16 {
            term *= z * z / (2.0 * i + 1.0);
            sum += term;
            i += 1.0;
        }
        return 0.5 - density * sum;
    }
    let fraction = (1..=60).rev().fold(z, |below, i| z + f64::from(i) / below);
    density / fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() <= other.abs() * 1e-4
    }

    #[test]
    fn bounds_are_those_of_the_tables() {
        // scipy.stats: norm.isf, binomtest(k, n).proportion_ci(0.95, "exact" | "wilson") (two-sided: risk 0.025 a side).
        for (risk, z) in [
            (0.5, 0.0),
            (0.025, 1.959_964),
            (0.001, 3.090_232),
            (1e-6, 4.753_424),
            (1e-9, 5.997_807),
        ] {
            assert!(
                (quantile(risk) - z).abs() < 1e-5,
                "{risk}: {}",
                quantile(risk)
            );
        }
        for (bound, k, n, lower, upper) in [
            (Bound::Exact, 10, 100, 0.049_004_69, 0.176_222_6),
            (Bound::Exact, 1, 10, 0.002_528_579, 0.445_016_1),
            (Bound::Score, 10, 100, 0.055_229_14, 0.174_366_6),
            (Bound::Score, 1, 10, 0.017_876_2, 0.404_150_0),
        ] {
            assert!(
                close(bound.lower(k, n, 0.025), lower),
                "{bound:?} {k}/{n}: {}",
                bound.lower(k, n, 0.025)
            );
            assert!(
                close(bound.upper(k, n, 0.025), upper),
                "{bound:?} {k}/{n}: {}",
                bound.upper(k, n, 0.025)
            );
        }
    }

    #[test]
    fn the_tail_is_the_sum_of_its_terms() {
        // 1 - (0.99^50 + 50 * 0.01 * 0.99^49 + 1225 * 0.0001 * 0.99^48)
        assert!(
            close(tail(3, 50, 0.01), 0.013_817_4),
            "{}",
            tail(3, 50, 0.01)
        );
        assert!(close(tail(1, 1, 0.25), 0.25));
        assert_eq!(tail(0, 10, 0.5), 1.0);
        assert_eq!(tail(1, 200, 0.01), 1.0);
        assert!(tail(20_000, 1_000_000, 0.01) < 1e-300);
    }

    #[test]
    fn nothing_counted_bounds_nothing() {
        for bound in [Bound::Exact, Bound::Score] {
            assert_eq!(
                (bound.lower(0, 0, 0.01), bound.upper(0, 0, 0.01)),
                (0.0, 1.0)
            );
            assert_eq!(bound.lower(0, 100, 0.01), 0.0);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_bound_encloses_its_share(n in 1_u64..100_000, part in 0.0_f64..1.0, exponent in 1_i32..12) {
            let k = (n as f64 * part) as u64;
            let risk = 0.5 * 10_f64.powi(-exponent);
            for bound in [Bound::Exact, Bound::Score] {
                let (lower, upper, share) = (bound.lower(k, n, risk), bound.upper(k, n, risk), k as f64 / n as f64);
                proptest::prop_assert!(lower <= share + 1e-9 && share <= upper + 1e-9, "{bound:?} {k}/{n} {lower} {upper}");
                proptest::prop_assert!((0.0..=1.0).contains(&lower) && (0.0..=1.0).contains(&upper));
            }
        }
    }
}
