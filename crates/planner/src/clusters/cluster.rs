//! One cluster, and what an update is expected to move of it.

use crate::churn::{Churn, ONE};
use crate::graph::Closure;
use crate::sets::Set;

pub(super) struct Cluster {
    pub(super) members: Vec<usize>,
    /// The closure of the members: a change of any path in it changes the cluster.
    pub(super) closure: Set,
    /// The number of paths in the closure.
    reach: usize,
    /// The sum of the members' rounded sizes.
    pub(super) size: u128,
    /// The rate at which it changes.
    pub(super) rate: u64,
    /// The number of bytes that an update is expected to move.
    pub(super) cost: f64,
}

impl Cluster {
    pub(super) fn new(closure: &Closure, churn: &Churn, members: Vec<usize>) -> Self {
        let size = members.iter().map(|&number| rounded_size(closure.nar_sizes[number])).sum();
        let closure = churn.closure_of(&members);
        let (reach, rate) = (closure.iter().count(), churn.of(&closure));
        Self { members, closure, reach, size, rate, cost: expected(size, rate) }
    }

    /// The cost of both clusters merged into one.
    pub(super) fn cost_with(&self, other: &Self, churn: &Churn) -> f64 {
        expected(self.size + other.size, self.rate_with(other, churn))
    }

    fn rate_with(&self, other: &Self, churn: &Churn) -> u64 {
        // The smaller closure has fewer paths that are not in the other.
        let (small, large) = if self.reach < other.reach { (self, other) } else { (other, self) };
        large.rate + churn.added(&small.closure, &large.closure)
    }

    pub(super) fn absorb(&mut self, other: Self, churn: &Churn) {
        self.rate = self.rate_with(&other, churn);
        self.size += other.size;
        self.cost = expected(self.size, self.rate);
        self.closure.unite(&other.closure);
        self.reach = self.closure.iter().count();
        self.members.extend(other.members);
    }
}

/// A path's size, rounded down to a power of the square root of two, so that paths that grow a
/// little stay where they were. An integer, so that sums are the same in any order.
pub(super) fn rounded_size(size: u64) -> u128 {
    let size = u128::from(size.max(1));
    let power = 1 << size.ilog2();
    let between = power * 99 / 70;
    if size < between { power } else { between }
}

/// The number of bytes that an update is expected to move, for a given size and rate.
pub(super) fn expected(size: u128, rate: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded alike everywhere")]
    let size = size as f64;
    size * chance(rate)
}

/// The probability that something with this rate changes: 1 − e^−rate.
///
/// The standard library's `exp` differs between platforms in the last digit, which is enough to
/// merge different clusters. Sums and products are the same everywhere, since IEEE 754 defines
/// their rounding. So e^−x is computed with these: the first terms of its series at x / 256,
/// squared eight times.
fn chance(rate: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded alike everywhere")]
    let rate = rate as f64 / ONE as f64;
    if rate > 32.0 {
        return 1.0;
    }
    let x = rate / 256.0;
    let mut power = 1.0 - x * (1.0 - x / 2.0 * (1.0 - x / 3.0 * (1.0 - x / 4.0)));
    for _ in 0..8 {
        power *= power;
    }
    1.0 - power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_those_of_the_exponential() {
        assert_eq!(chance(0).to_bits(), 0.0_f64.to_bits());
        for thousandths in [1_u32, 10, 50, 400, 693, 1000, 2500, 10_000, 31_999, 40_000] {
            let rate = ONE / 1000 * u64::from(thousandths);
            let exact = -(-f64::from(thousandths) / 1000.0).exp_m1();
            let found = chance(rate);
            assert!((found - exact).abs() < 1e-6 * exact, "{thousandths}: {found} for {exact}");
        }
        // The same sums in Python, bit by bit: they must be the same on every machine.
        let cases = [
            (ONE / 20, 0x3fa8_f874_f58c_0d60),
            (ONE / 3, 0x3fd2_2459_dba1_92aa),
            (ONE, 0x3fe4_3a54_e4e9_6f20),
            (5 * ONE, 0x3fef_c8cd_803a_3053),
        ];
        for (rate, bits) in cases {
            assert_eq!(chance(rate).to_bits(), bits, "{rate}");
        }
    }
}
