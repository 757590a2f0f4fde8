//! Directed edges between numbered nodes, and traversals.

use std::collections::HashMap;

/// The edges of a graph: for each node, the numbers of the nodes that it points to.
///
/// No traversal is recursive, as closures may be many thousands of paths deep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges(pub Vec<Vec<usize>>);

impl Edges {
    /// The same edges, reversed.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let mut reversed = vec![Vec::new(); self.0.len()];
        for (from, targets) in self.0.iter().enumerate() {
            for &to in targets {
                reversed[to].push(from);
            }
        }
        Self(reversed)
    }

    /// Marks every reachable node, including the starting points.
    pub fn reach(&self, starts: impl IntoIterator<Item = usize>) -> Vec<bool> {
        let mut reached = vec![false; self.0.len()];
        let mut waiting: Vec<usize> = starts.into_iter().collect();
        while let Some(node) = waiting.pop() {
            if !std::mem::replace(&mut reached[node], true) {
                waiting.extend(self.0[node].iter().filter(|&&next| !reached[next]));
            }
        }
        reached
    }

    /// The nodes that nothing points to.
    pub fn roots(&self) -> Vec<usize> {
        let mut pointed_to = vec![false; self.0.len()];
        for &to in self.0.iter().flatten() {
            pointed_to[to] = true;
        }
        (0..self.0.len()).filter(|&node| !pointed_to[node]).collect()
    }

    /// All nodes, each after everything that points to it; or, as an error, the nodes of a cycle.
    pub fn users_first(&self) -> Result<Vec<usize>, Vec<usize>> {
        let users = self.reversed();
        let mut open: Vec<usize> = users.0.iter().map(Vec::len).collect();
        let mut order = self.roots();
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            for &to in &self.0[node] {
                open[to] -= 1;
                if open[to] == 0 {
                    order.push(to);
                }
            }
        }
        if order.len() == self.0.len() { Ok(order) } else { Err(circle(&users, &open)) }
    }
}

/// Walks from user to user among the remaining nodes until one repeats.
fn circle(users: &Edges, open: &[usize]) -> Vec<usize> {
    let left_over = |&node: &usize| open[node] > 0;
    let mut trail: Vec<usize> = (0..open.len()).find(left_over).into_iter().collect();
    let mut places: HashMap<usize, usize> = HashMap::new();
    while let Some(&node) = trail.last() {
        if let Some(place) = places.insert(node, trail.len() - 1) {
            trail.drain(..place);
            break;
        }
        // Every remaining node has a user that remains too.
        match users.0[node].iter().copied().find(left_over) {
            Some(user) => trail.push(user),
            None => break,
        }
    }
    // The trail leads from dependency to user.
    trail.reverse();
    trail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(edges: &[&[usize]]) -> Edges {
        Edges(edges.iter().map(|targets| targets.to_vec()).collect())
    }

    #[test]
    fn walks_along_the_arrows() {
        let diamond = edges(&[&[1, 2], &[3], &[3], &[], &[3]]);
        assert_eq!(diamond.roots(), [0, 4]);
        assert_eq!(diamond.reach([1]), [false, true, false, true, false]);
        assert_eq!(diamond.reversed().reach([1]), [true, true, false, false, false]);
        assert_eq!(diamond.users_first(), Ok(vec![0, 4, 1, 2, 3]));
    }

    #[test]
    fn finds_the_circle_and_not_what_hangs_on_it() {
        // 0 leads into the cycle 1 -> 2 -> 3 -> 1, from which 4 can be reached.
        let circle = edges(&[&[1], &[2], &[3], &[1, 4], &[]]).users_first().unwrap_err();
        assert_eq!(circle, [1, 2, 3, 1]);
    }
}
