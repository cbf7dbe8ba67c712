//! From values to places on a chart, and which values are named beside an axis.

/// How values are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Linear,
    Log,
    /// Parts of one that come closer together towards 1, as HdrHistogram plots percentiles: each
    /// further nine takes the same length.
    Nines,
}

/// Values `low` to `high`. Places are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
    /// Between values that are named, on a linear scale.
    step: f64,
}

impl Scale {
    /// From 0 to a round number that is at least as large as each value.
    pub(super) fn linear(values: impl IntoIterator<Item = f64>) -> Self {
        Self::from_zero(values, |most| step(most, 5))
    }

    /// As [`Scale::linear`], with names at multiples of powers of two.
    pub(super) fn bytes(values: impl IntoIterator<Item = f64>) -> Self {
        Self::from_zero(values, |most| 2_f64.powf((most / 4.0).log2().ceil().max(0.0)))
    }

    fn from_zero(values: impl IntoIterator<Item = f64>, step: impl Fn(f64) -> f64) -> Self {
        let most = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let step = step(most);
        let high = (most / step - 1e-9).ceil().max(1.0) * step;
        Self { kind: Kind::Linear, low: 0.0, high, step }
    }

    /// Around all values above 0, from one round number to another.
    pub(super) fn log(values: impl IntoIterator<Item = f64>) -> Self {
        let is_good = |value: &f64| value.is_finite() && *value > 0.0;
        let (low, high) = values
            .into_iter()
            .filter(is_good)
            .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Self::log_between(1.0, 10.0);
        }
        let (low, high) = (round_below(low), round_above(high));
        Self::log_between(low, if high > low { high } else { low * 10.0 })
    }

    /// Exactly these ends, both above 0.
    pub(super) fn log_between(low: f64, high: f64) -> Self {
        let is_sound = low > 0.0 && low < high && high.is_finite();
        let (low, high) = if is_sound { (low, high) } else { (1.0, 10.0) };
        Self { kind: Kind::Log, low, high, step: 0.0 }
    }

    /// Parts of one, 0 to `high`.
    pub(super) fn nines(high: f64) -> Self {
        let high = high.clamp(0.9, 1.0 - 1e-9);
        Self { kind: Kind::Nines, low: 0.0, high, step: 0.0 }
    }

    pub(super) fn is_log(&self) -> bool {
        self.kind == Kind::Log
    }

    /// Where a value is: 0 to 1, also if it lies outside.
    pub(super) fn place(&self, value: f64) -> f64 {
        let bend = |value: f64| match self.kind {
            Kind::Linear => value,
            Kind::Log => value.max(f64::MIN_POSITIVE).ln(),
            Kind::Nines => -(1.0 - value.clamp(0.0, 1.0 - 1e-9)).ln(),
        };
        let (low, high) = (bend(self.low), bend(self.high));
        let place = (bend(value) - low) / (high - low);
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Values to name, rising; on a logarithmic scale about so many.
    pub(super) fn ticks(&self, about: usize) -> Vec<f64> {
        match self.kind {
            Kind::Linear => {
                let count = (self.high / self.step + 1e-9).floor() as usize;
                (0..=count.min(10)).map(|nth| nth as f64 * self.step).collect()
            }
            Kind::Log => self.log_ticks(about),
            Kind::Nines => {
                let all = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
                all.into_iter().filter(|part| *part <= self.high).collect()
            }
        }
    }

    /// 1, 2, 5 of each decade, or 1 only, or of every n-th only.
    fn log_ticks(&self, about: usize) -> Vec<f64> {
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let decades = (last - first).max(1) as usize;
        let (digits, every): (&[f64], usize) = match about / decades {
            0 => (&[1.0], decades.div_ceil(about.max(1))),
            1..=2 => (&[1.0], 1),
            _ => (&[1.0, 2.0, 5.0], 1),
        };
        let powers = (first..=last).step_by(every);
        let all = powers.flat_map(|power| digits.iter().map(move |d| d * 10_f64.powi(power)));
        let inside =
            |value: &f64| (self.low * (1.0 - 1e-9)..=self.high * (1.0 + 1e-9)).contains(value);
        all.filter(inside).collect()
    }
}

/// 1, 2 or 5 times a power of ten, so that about so many make `most`.
fn step(most: f64, about: usize) -> f64 {
    let rough = most / about.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= rough * (1.0 - 1e-9));
    let step = digit.unwrap_or(10.0) * power;
    if step.is_finite() && step > 0.0 { step } else { 1.0 }
}

/// The next of 1, 2, 5 times a power of ten that is not above.
fn round_below(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let digit = [5.0, 2.0, 1.0].into_iter().find(|digit| digit * power <= value * (1.0 + 1e-9));
    (digit.unwrap_or(1.0) * power).max(f64::MIN_POSITIVE)
}

/// The next of 1, 2, 5 times a power of ten that is not below.
fn round_above(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= value * (1.0 - 1e-9));
    (digit.unwrap_or(10.0) * power).min(f64::MAX)
}
