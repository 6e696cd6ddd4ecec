use super::*;

fn applied(name: &str) -> Service {
    let observed = Observed { namespace: "shop".to_owned(), triggers: true, functions: true };
    let Resources { gateway, functions } = services(&observed);
    let mut service =
        [gateway, functions].into_iter().flatten().find(|it| it.metadata.name.as_deref() == Some(name)).unwrap();
    service.metadata.uid = Some("service-uid".to_owned());
    service
}

fn proxy(name: &str, ip: &str) -> Proxy {
    Proxy { name: name.to_owned(), ips: vec![ip.to_owned()], ready: true, ..Proxy::default() }
}

#[test]
fn the_order_of_proxies_does_not_matter() {
    let (a, b) = (proxy("a", "10.0.0.2"), proxy("b", "10.0.0.1"));
    let service = applied(GATEWAY_SERVICE);
    assert_eq!(slices(&service, &[a.clone(), b.clone()]), slices(&service, &[b, a]), "or the slice would be rewritten");
}

#[test]
fn a_slice_stays_within_its_bound() {
    let proxies: Vec<Proxy> =
        (0..1200).map(|number| proxy("p", &format!("10.0.{}.{}", number / 250, number % 250 + 1))).collect();
    assert_eq!(slices(&applied(FUNCTIONS_SERVICE), &proxies)[0].endpoints.len(), MAX_ENDPOINTS);
}

#[test]
fn names_of_ports_meet_between_service_and_slice() {
    for name in [GATEWAY_SERVICE, FUNCTIONS_SERVICE] {
        let service = applied(name);
        let of_service: Vec<_> =
            service.spec.clone().unwrap().ports.unwrap().into_iter().map(|port| port.name).collect();
        for slice in slices(&service, &[]) {
            let of_slice: Vec<_> = slice.ports.unwrap().into_iter().map(|port| port.name).collect();
            assert_eq!(of_slice, of_service);
        }
    }
}
