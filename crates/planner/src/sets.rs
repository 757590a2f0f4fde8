//! Bit sets of numbered nodes, which make it fast to unite closures of thousands of paths.

use super::edges::Edges;

/// A set of numbers below a bound fixed at its creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set(Box<[u64]>);

const BITS: usize = u64::BITS as usize;

impl Set {
    /// The empty set of numbers below `bound`.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(BITS)].into())
    }

    /// Adds a number below the bound.
    pub fn insert(&mut self, number: usize) {
        self.0[number / BITS] |= 1 << (number % BITS);
    }

    /// Removes a number below the bound.
    pub fn remove(&mut self, number: usize) {
        self.0[number / BITS] &= !(1 << (number % BITS));
    }

    /// Whether a number is in the set.
    #[must_use]
    pub fn contains(&self, number: usize) -> bool {
        self.0[number / BITS] >> (number % BITS) & 1 == 1
    }

    /// Adds all members of another set with the same bound.
    pub fn unite(&mut self, other: &Self) {
        self.0.iter_mut().zip(&*other.0).for_each(|(mine, other)| *mine |= other);
    }

    /// The members, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        members(self.0.iter().copied())
    }

    /// The members that are also in another set with the same bound, in ascending order.
    pub fn intersection<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        members(self.0.iter().zip(&*other.0).map(|(mine, other)| mine & other))
    }

    /// The members that are not in another set with the same bound, in ascending order.
    pub fn difference<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        members(self.0.iter().zip(&*other.0).map(|(mine, other)| mine & !other))
    }
}

fn members(words: impl Iterator<Item = u64>) -> impl Iterator<Item = usize> {
    let occupied = words.enumerate().filter(|&(_, word)| word != 0);
    occupied.flat_map(|(place, word)| {
        let rest = std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)));
        let bits = rest.take_while(|&word| word != 0).map(u64::trailing_zeros);
        bits.map(move |bit| place * BITS + bit as usize)
    })
}

/// The nodes reachable from each node, including itself; or, as an error, the nodes of a cycle.
pub fn closures(edges: &Edges) -> Result<Vec<Set>, Vec<usize>> {
    let count = edges.0.len();
    let mut closures = vec![Set::new(count); count];
    for node in edges.users_first()?.into_iter().rev() {
        let mut closure = std::mem::replace(&mut closures[node], Set(Box::default()));
        closure.insert(node);
        edges.0[node].iter().for_each(|&other| closure.unite(&closures[other]));
        closures[node] = closure;
    }
    Ok(closures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_members() {
        let mut set = Set::new(130);
        for number in [0, 63, 64, 129] {
            set.insert(number);
        }
        assert!(set.contains(129) && !set.contains(128));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 129]);
        let mut other = Set::new(130);
        other.insert(64);
        other.insert(65);
        assert_eq!(set.difference(&other).collect::<Vec<_>>(), [0, 63, 129]);
        assert_eq!(set.intersection(&other).collect::<Vec<_>>(), [64]);
        set.remove(63);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 64, 129]);
        set.insert(63);
        other.unite(&set);
        assert_eq!(other.iter().collect::<Vec<_>>(), [0, 63, 64, 65, 129]);
    }

    #[test]
    fn closures_are_what_a_walk_reaches() {
        let edges = Edges(vec![vec![1, 2], vec![3], vec![3], vec![], vec![3]]);
        let reached: Vec<Vec<usize>> =
            closures(&edges).unwrap().iter().map(|set| set.iter().collect()).collect();
        assert_eq!(reached, [vec![0, 1, 2, 3], vec![1, 3], vec![2, 3], vec![3], vec![3, 4]]);
        assert!(closures(&Edges(vec![vec![1], vec![0]])).is_err());
    }
}
