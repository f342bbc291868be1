use super::movement::{commit, open};
use crate::{Folder, Layout, layout};

#[test]
fn a_folder_without_pipelines_names_the_folders_that_have_them() {
    let orders = ("etl/acme/pipelines/orders/metadata.yaml", "uuid: orders\n");
    let own = ("pipelines/team/daily/metadata.yaml", "uuid: daily\n");
    let settings = ("metadata.yaml", "project_type: standalone\n");
    let ci = ("pipelines/build.yaml", "steps: []\n");
    for (files, directory, folder, projects) in [
        (&[orders][..], "etl/acme", Folder::Project, &[][..]),
        (&[orders], "./etl/acme/", Folder::Project, &[]),
        (&[orders], "", Folder::Other, &["etl/acme"]),
        (&[orders], "etl", Folder::Other, &["etl/acme"]),
        (&[orders], "elt", Folder::Absent, &["etl/acme"]),
        (&[orders, own], "etl", Folder::Other, &[".", "etl/acme"]),
        (&[orders, own], "", Folder::Project, &[]),
        (&[orders, settings], "", Folder::WithoutPipelines, &["etl/acme"]),
        // A new project, and a repository without any.
        (&[settings], "", Folder::WithoutPipelines, &[]),
        (&[("README.md", "x\n")], "", Folder::Other, &[]),
        // A folder of that name that belongs to something else.
        (&[ci, orders], "", Folder::Other, &["etl/acme"]),
        (&[ci], "", Folder::Other, &[]),
        (&[ci, settings], "", Folder::Project, &[]),
    ] {
        let folder_of_test = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init(folder_of_test.path()).unwrap();
        let id = commit(&repository, files);
        let found = layout(&open(folder_of_test.path()), &id, directory).unwrap();
        let projects = projects.iter().map(|path| (*path).into()).collect();
        assert_eq!(found, Some(Layout { folder, projects }), "{files:?} {directory}");
    }
}
