//! Appends and syncs.

use super::*;

on_both!(appends_in_order, create_and_open_check_existence);

async fn appends_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("segment");
    let mut file = File::create_append(&path).unwrap();
    let mut expected = Vec::new();
    let mut spare = Vec::new();
    for round in 0..50 {
        spare.extend_from_slice(&pattern(round * 997));
        expected.extend_from_slice(&spare);
        spare = file.append(spare).await.unwrap();
        assert!(spare.is_empty());
        file.append_now(b"now").unwrap();
        expected.extend_from_slice(b"now");
    }
    file.sync_data().await.unwrap();
    assert!(std::fs::read(&path).unwrap() == expected);
    assert_eq!(stats().file_ops, 51);
}

async fn create_and_open_check_existence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("segment");
    assert_eq!(File::open(&path).err().unwrap().kind(), io::ErrorKind::NotFound);
    drop(File::create_append(&path).unwrap());
    let exists = File::create_append(&path).err().unwrap();
    assert_eq!(exists.kind(), io::ErrorKind::AlreadyExists);
    let file = File::open(&path).unwrap();
    file.append(b"tail".to_vec()).await.unwrap();
    let full = File::open("/dev/full").unwrap();
    assert_eq!(
        full.append(vec![1]).await.unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
}
