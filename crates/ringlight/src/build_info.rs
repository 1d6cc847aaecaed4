//! Which build of the application runs: only the application's own code can say that.

/// Which build of the application runs; made by [`build_info!`](crate::build_info).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildInfo {
    /// The version of the package.
    pub version: &'static str,
    /// The commit it was built from, if that is known.
    pub revision: Option<&'static str>,
}

impl BuildInfo {
    /// The first of these revisions that is one.
    #[doc(hidden)]
    #[must_use]
    pub fn first<const N: usize>(
        version: &'static str,
        revisions: [Option<&'static str>; N],
    ) -> Self {
        let mut known = revisions.into_iter().flatten();
        Self {
            version,
            revision: known.find(|revision| !revision.is_empty()),
        }
    }
}

/// Which build of the application runs, for [`Builder::build_info`](crate::Builder::build_info): the version of the package it is
/// written in, and the commit, where one of the variables `VERGEN_GIT_SHA`, `GIT_COMMIT`, `GITHUB_SHA` and `CI_COMMIT_SHA` named it when
/// that package was compiled.
///
/// ```
/// let builder = ringlight::builder().build_info(ringlight::build_info!());
/// ```
#[macro_export]
macro_rules! build_info {
    () => {
        $crate::BuildInfo::first(
            ::core::env!("CARGO_PKG_VERSION"),
            [
                ::core::option_env!("VERGEN_GIT_SHA"),
                ::core::option_env!("GIT_COMMIT"),
                ::core::option_env!("GITHUB_SHA"),
                ::core::option_env!("CI_COMMIT_SHA"),
            ],
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_the_first_that_is_known() {
        let revision = |revisions| BuildInfo::first("1", revisions).revision;
        assert_eq!(revision([None, Some(""), Some("b"), Some("c")]), Some("b"));
        assert_eq!(revision([None; 4]), None);
        assert_eq!(crate::build_info!().version, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn it_is_among_what_the_process_says_about_itself() {
        let build = BuildInfo {
            version: "1.2.3",
            revision: Some("abc"),
        };
        let builder = crate::builder()
            .environment([("", ""); 0])
            .build_info(build);
        let (_, telemetry) = builder.log_format(crate::LogFormat::Off).build().unwrap();
        let resource = telemetry.shared.pipeline.resource();
        assert_eq!(resource.text("service.version"), Some("1.2.3"));
        assert_eq!(resource.text("vcs.ref.head.revision"), Some("abc"));
    }
}
