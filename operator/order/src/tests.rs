use proptest::prelude::*;

use super::*;

fn signer(byte: u8) -> Signer {
    Signer::from_seed(&[byte; 32]).unwrap()
}

fn load(until: Option<u64>) -> Order {
    Order::Load(Load {
        pod_uid: Some("pod-1".into()),
        namespace: "demo".into(),
        function_uid: "function-1".into(),
        revision: "abcd1234".into(),
        digest: muon_crds::names::digest(b"code"),
        until,
    })
}

#[test]
fn an_order_is_taken_by_the_public_half_alone() {
    let signer = signer(7);
    let verifier = Verifier::from_public(&signer.public()).unwrap();
    assert_eq!(verifier.check(&signer.sign(&load(Some(100))), 100), Ok(load(Some(100))));
}

#[test]
fn another_installations_order_is_refused() {
    let token = signer(7).sign(&load(None));
    assert_eq!(signer(8).verifier().check(&token, 0), Err(Refused::Signature));
}

#[test]
fn an_order_ends() {
    let signer = signer(7);
    let token = signer.sign(&load(Some(100)));
    assert_eq!(signer.verifier().check(&token, 101), Err(Refused::Expired { until: 100, now: 101 }));
}

#[test]
fn a_template_order_does_not_end() {
    let signer = signer(7);
    assert!(signer.verifier().check(&signer.sign(&load(None)), u64::MAX).is_ok());
}

#[test]
fn the_seed_is_never_printed() {
    assert_eq!(format!("{:?}", signer(7)), "Signer([redacted])");
}

proptest! {
    #[test]
    fn no_changed_token_is_taken(position in 0usize..200, byte in any::<u8>()) {
        let signer = signer(7);
        let mut token = signer.sign(&load(Some(100))).into_bytes();
        let position = position % token.len();
        prop_assume!(token[position] != byte && byte.is_ascii());
        token[position] = byte;
        let token = String::from_utf8(token).unwrap();
        prop_assert!(signer.verifier().check(&token, 0).is_err());
    }

    #[test]
    fn nonsense_is_refused_without_a_panic(token in ".{0,300}") {
        prop_assert!(signer(7).verifier().check(&token, 0).is_err());
    }
}
