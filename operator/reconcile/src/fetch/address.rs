//! Where an address lies.

use std::net::{IpAddr, Ipv6Addr};

/// Where an address lies, seen from the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the open network.
    Outside,
    /// In a private network: the cluster's pods and Services, and what else the company has.
    Inside,
    /// On this node or this link, where the cloud's metadata is, or nowhere at all.
    Never,
}

/// The metadata of a cloud, in what is a private network otherwise.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Where an address lies. What is reserved is nowhere.
pub fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (b & 0xc0) == 64;
            let benchmarking = a == 198 && (b & 0xfe) == 18;
            // Clouds have their metadata at addresses of their own, besides the link-local one.
            let metadata = v4.octets() == [100, 100, 100, 200] || v4.octets() == [168, 63, 129, 16];
            let assignments = (a, b, v4.octets()[2]) == (192, 0, 0);
            if metadata || assignments {
                Place::Never
            } else if v4.is_private() || shared || benchmarking {
                Place::Inside
            } else if v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
            {
                Place::Never
            } else {
                Place::Outside
            }
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4() {
                return place(IpAddr::V4(v4));
            }
            // Global unicast, less the translations (6to4, NAT64) that lead to an IPv4 address we would have to
            // read out, and documentation.
            let [first, second, ..] = v6.segments();
            let global = (first & 0xe000) == 0x2000 && first != 0x2002;
            if global && !(first == 0x2001 && (second == 0xdb8 || second == 0)) {
                Place::Outside
            } else if (first & 0xfe00) == 0xfc00 && v6 != METADATA_V6 {
                Place::Inside
            } else {
                Place::Never
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_network_is_told_from_the_inside() {
        for (wanted, addresses) in [
            (Place::Outside, &["1.1.1.1", "151.101.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111"][..]),
            (
                Place::Inside,
                &["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1", "fc00::1", "::ffff:10.0.0.1"],
            ),
            (
                Place::Never,
                &[
                    "0.0.0.0",
                    "127.0.0.1",
                    "169.254.169.254",
                    "224.0.0.1",
                    "255.255.255.255",
                    "::",
                    "::1",
                    "fe80::1",
                    "100.100.100.200",
                    "168.63.129.16",
                    "192.0.0.192",
                    "fd00:ec2::254",
                    "64:ff9b::a00:1",
                    "2002:a00:1::",
                    "2001:db8::1",
                    "ff02::1",
                    "::ffff:169.254.169.254",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(place(address.parse().unwrap()), wanted, "{address}");
            }
        }
    }
}
