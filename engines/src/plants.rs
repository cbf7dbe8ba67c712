//! How an engine lists its plants: the enum of them, with names, and what is known of each.

/// No plant has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no plant is called {name:?}; Plant::ALL lists them")]
pub struct UnknownPlant {
    /// The name.
    pub name: String,
}

macro_rules! plants {
    ($($kind:ident $variant:ident, $name:literal, $about:literal $(, met: $met:literal)?;)*) => {
        /// A deliberate deviation of the engine.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Plant {
            $(#[doc = $about] $(#[doc = concat!("\n\nMet in ", $met, ".")])? $variant,)*
        }

        impl Plant {
            /// All plants, the bugs first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name that selects it, in snake case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence on what it does.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }

            /// Where the field met this bug, or one of its kind; empty if nowhere that we know.
            pub const fn met(self) -> &'static str {
                match self { $(Self::$variant => concat!($($met)?),)* }
            }

            /// Whether it breaks no law: a testbed must stay silent.
            pub const fn benign(self) -> bool {
                match self { $(Self::$variant => plants!(@benign $kind),)* }
            }
        }

        impl ::std::fmt::Display for Plant {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl ::std::str::FromStr for Plant {
            type Err = $crate::plants::UnknownPlant;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().copied().find(|plant| plant.name() == name);
                found.ok_or_else(|| $crate::plants::UnknownPlant { name: name.to_owned() })
            }
        }
    };
    (@benign bug) => { false };
    (@benign benign) => { true };
}

pub(crate) use plants;
