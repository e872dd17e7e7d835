//! The distribution of a duration, from observed ones.

/// Beyond the longest observed duration the probability to last longer falls with this power of the
/// duration: what has lasted for longer than anything before will last for about as long again.
const TAIL_EXPONENT: f64 = 2.0;

/// An observed duration, or one that is still going on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// In seconds.
    pub seconds: f64,
    /// Whether it has ended. If not, it is known only that it takes longer.
    pub has_ended: bool,
}

/// A distribution of durations: quantiles by linear interpolation of logarithms between observed ones.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Of each observed duration, in order: its natural logarithm, and the probability to last longer.
    points: Vec<(f64, f64)>,
}

/// Durations that count for this part of a blend.
type Weighted = (f64, f64);

impl Distribution {
    /// The distribution of these observations; `None` if none of them has ended.
    #[cfg(test)]
    pub fn of(observations: &[Observation]) -> Option<Self> {
        Self::blend(&[(observations, 0.0)])
    }

    /// The distribution by the first group of observations, to which those after it are the prior: each
    /// group counts as much as so many observations of the group before it. `None` if nothing has ended.
    pub fn blend(groups: &[(&[Observation], f64)]) -> Option<Self> {
        let mut parts: Vec<(Vec<Weighted>, f64)> = Vec::new();
        let mut rest = 1.0;
        for (index, (observations, _)) in groups.iter().enumerate() {
            let weighted = redistribute(observations);
            let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
            if total <= 0.0 {
                continue;
            }
            let prior = groups
                .get(index + 1)
                .map_or(0.0, |(_, counts_as)| *counts_as);
            let has_prior = groups[index + 1..]
                .iter()
                .any(|(prior, _)| prior.iter().any(|it| it.has_ended));
            let share = if has_prior {
                rest * total / (total + prior)
            } else {
                rest
            };
            rest -= share;
            parts.push((weighted, share));
        }
        let count: f64 = parts
            .iter()
            .flat_map(|(weighted, _)| weighted.iter().map(|(_, weight)| weight))
            .sum();
        let mut all: Vec<Weighted> = Vec::new();
        for (weighted, share) in parts {
            let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
            let scale = share * count / total;
            all.extend(
                weighted
                    .into_iter()
                    .map(|(log, weight)| (log, weight * scale)),
            );
        }
        all.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut below = 0.5;
        let points: Vec<(f64, f64)> = all
            .into_iter()
            .map(|(log, weight)| {
                let probability = (below + weight / 2.0) / (count + 1.0);
                below += weight;
                (log, 1.0 - probability)
            })
            .collect();
        (!points.is_empty()).then_some(Self { points })
    }

    /// The duration, in seconds, that is exceeded with this probability, which is above 0 and below 1, by
    /// one that has lasted for `elapsed` seconds.
    pub fn exceeded_with(&self, probability: f64, elapsed: f64) -> f64 {
        let survived = if elapsed > 0.0 {
            self.survival(elapsed.ln())
        } else {
            1.0
        };
        self.log_exceeded_with(probability * survived)
            .exp()
            .max(elapsed)
    }

    /// The probability to last longer than the duration with this logarithm.
    fn survival(&self, log: f64) -> f64 {
        let after = self.points.partition_point(|(point, _)| *point <= log);
        let (last_log, last) = self.points[self.points.len() - 1];
        let (first_log, first) = self.points[0];
        if after == self.points.len() {
            last * (-(log - last_log) * TAIL_EXPONENT).exp()
        } else if after == 0 {
            1.0 - (1.0 - first) * ((log - first_log) * TAIL_EXPONENT).exp()
        } else {
            let (low_log, low) = self.points[after - 1];
            let (high_log, high) = self.points[after];
            low + (high - low) * (log - low_log) / (high_log - low_log)
        }
    }

    /// The logarithm of the duration that is exceeded with this probability.
    fn log_exceeded_with(&self, probability: f64) -> f64 {
        let after = self
            .points
            .partition_point(|(_, survival)| *survival >= probability);
        let (last_log, last) = self.points[self.points.len() - 1];
        let (first_log, first) = self.points[0];
        if after == self.points.len() {
            last_log + (last / probability).ln() / TAIL_EXPONENT
        } else if after == 0 {
            first_log + ((1.0 - probability) / (1.0 - first)).ln() / TAIL_EXPONENT
        } else {
            let (low_log, low) = self.points[after - 1];
            let (high_log, high) = self.points[after];
            low_log + (high_log - low_log) * (low - probability) / (low - high)
        }
    }
}

/// The logarithms of the observed durations with their weights. The weight of one that is still going on
/// goes to those that took longer, in equal parts (Efron's redistribution to the right, which gives the
/// estimator of Kaplan and Meier). Otherwise only the short jobs would be known while the first ones run.
fn redistribute(observations: &[Observation]) -> Vec<Weighted> {
    if !observations.iter().any(|it| it.has_ended) {
        return Vec::new();
    }
    let mut sorted = observations.to_vec();
    sorted.sort_by(|one, other| {
        one.seconds
            .total_cmp(&other.seconds)
            .then(other.has_ended.cmp(&one.has_ended))
    });
    let mut weight = 1.0;
    let mut weighted = Vec::new();
    for (index, observation) in sorted.iter().enumerate() {
        let log = observation.seconds.max(1.0).ln();
        let behind = (sorted.len() - index - 1) as f64;
        if observation.has_ended {
            weighted.push((log, weight));
        } else if behind > 0.0 {
            weight += weight / behind;
        } else {
            // What is left begins here; the median of the tail.
            weighted.push((log, 0.0));
            weighted.push((log + std::f64::consts::LN_2 / TAIL_EXPONENT, weight));
        }
    }
    weighted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(seconds: f64) -> Observation {
        Observation {
            seconds,
            has_ended: true,
        }
    }

    fn going_on(seconds: f64) -> Observation {
        Observation {
            seconds,
            has_ended: false,
        }
    }

    fn of(observations: &[Observation]) -> Distribution {
        Distribution::of(observations).unwrap()
    }

    fn assert_near(found: f64, expected: f64) {
        assert!(
            (found / expected - 1.0).abs() < 0.01,
            "{found}, not {expected}"
        );
    }

    #[test]
    fn the_median_is_that_of_the_observed_durations() {
        let durations = [100.0, 10.0, 1000.0].map(ended);
        assert_near(of(&durations).exceeded_with(0.5, 0.0), 100.0);
        assert_near(of(&[ended(60.0)]).exceeded_with(0.5, 0.0), 60.0);
    }

    #[test]
    fn quantiles_and_probabilities_are_inverse() {
        let distribution = of(&[30.0, 40.0, 90.0, 200.0].map(ended));
        for step in 1..100 {
            let probability = f64::from(step) / 100.0;
            let seconds = distribution.exceeded_with(probability, 0.0);
            assert_near(distribution.survival(seconds.ln()), probability);
        }
    }

    #[test]
    fn what_has_lasted_for_some_time_lasts_longer_than_what_begins() {
        let distribution = of(&[60.0, 60.0, 60.0, 600.0, 600.0, 600.0].map(ended));
        // Once the short ones are over, only the long ones are left.
        assert!(distribution.exceeded_with(0.5, 0.0) < 400.0);
        assert!(distribution.exceeded_with(0.5, 120.0) > 500.0);
        for elapsed in 1..1000 {
            let elapsed = f64::from(elapsed);
            for probability in [0.999, 0.5, 0.001] {
                assert!(distribution.exceeded_with(probability, elapsed) >= elapsed);
            }
        }
    }

    #[test]
    fn what_has_lasted_longer_than_anything_before_lasts_the_longer_the_longer_it_has_lasted() {
        let distribution = of(&[60.0, 70.0, 80.0].map(ended));
        let rest = |elapsed: f64| distribution.exceeded_with(0.5, elapsed) - elapsed;
        assert!(rest(1000.0) > 300.0, "{}", rest(1000.0));
        assert!(rest(2000.0) > 1.9 * rest(1000.0), "{}", rest(2000.0));
    }

    #[test]
    fn what_still_goes_on_counts_among_the_longer_ones() {
        let short = of(&[ended(60.0)]).exceeded_with(0.5, 0.0);
        let known = [ended(60.0), going_on(300.0), going_on(300.0)];
        assert!(of(&known).exceeded_with(0.5, 0.0) > 3.0 * short);
        // One that has just begun tells nothing.
        let begun = [ended(60.0), going_on(1.0)];
        assert_near(of(&begun).exceeded_with(0.5, 0.0), short);
        assert!(Distribution::of(&[going_on(300.0)]).is_none());
    }

    #[test]
    fn what_has_lasted_longer_than_what_has_ended_lasts_half_as_often_for_two_fifths_longer() {
        let known = [ended(2.0), ended(2.0), going_on(20.0), going_on(20.0)];
        let median = of(&known).exceeded_with(0.5, 20.0);
        assert!((25.0..33.0).contains(&median), "{median}");
    }

    #[test]
    fn a_prior_counts_as_much_as_so_many_observations() {
        let prior = [1000.0; 50].map(ended);
        let median = |observations: &[Observation]| {
            let groups = [(observations, 0.0), (&prior[..], 4.0)];
            Distribution::blend(&groups)
                .unwrap()
                .exceeded_with(0.5, 0.0)
        };
        assert_near(median(&[]), 1000.0);
        assert!(median(&[10.0; 2].map(ended)) > 500.0);
        assert!(median(&[10.0; 20].map(ended)) < 20.0);
    }
}
