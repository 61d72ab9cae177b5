//! Who is at the other end: TLS 1.3 with a certificate on both sides, all below one authority made of the join key.
//!
//! The authority's key is derived from the join key, so every holder of it makes its own certificate and nothing is
//! handed out. A certificate names the cluster and the node in one URI, `hustings://CLUSTER/node/NUMBER`; number 0
//! is a node that has none yet. The names below which TLS servers usually stand play no part.

use std::io;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, SerialNumber,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};
use sha2::{Digest, Sha256};

use super::key::{ClusterName, JoinKey};
use super::{LinkError, NetError};
use crate::NodeId;

/// A certificate is good for this long before and after it is made: clocks of machines differ, and a cluster whose
/// clocks are wrong has to come up all the same.
const VALID_EACH_WAY: Duration = Duration::from_hours(15 * 24);
/// A new certificate is made this often.
pub(crate) const RENEW_EVERY: Duration = Duration::from_hours(24);
/// The bytes before an Ed25519 seed in PKCS #8 (RFC 8410, section 7).
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Makes a node's certificates and checks those of others.
pub(crate) struct Identity {
    name: ClusterName,
    authority: Issuer<'static, KeyPair>,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

/// The certificate shown to others; replaced while connections stand.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Identity {
    /// With a first certificate for `own`. `unix` is the time now, since 1970.
    pub(crate) fn new(
        name: ClusterName,
        key: &JoinKey,
        own: NodeId,
        unix: Duration,
    ) -> Result<Self, NetError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (authority, root) = authority(key).map_err(NetError::Certificate)?;
        let mut roots = RootCertStore::empty();
        roots.add(root).map_err(NetError::Tls)?;
        let roots = Arc::new(roots);
        let first = certificate(&name, own, &authority, &provider, unix)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(first))));
        let client = client(&provider, &roots, &current)?;
        let server = server(&provider, &roots, &current)?;
        Ok(Self { name, authority, provider, current, client, server })
    }

    pub(crate) fn name(&self) -> &ClusterName {
        &self.name
    }

    /// Makes a new certificate; connections that stand keep the one they began with.
    pub(crate) fn renew(&self, own: NodeId, unix: Duration) -> Result<(), NetError> {
        let new = certificate(&self.name, own, &self.authority, &self.provider, unix)?;
        *self.current.0.write().expect("nobody panics while holding it") = Arc::new(new);
        Ok(())
    }

    /// The node that a checked certificate names.
    pub(crate) fn node_of(&self, chain: Option<&[CertificateDer<'_>]>) -> Result<NodeId, LinkError> {
        let certificate = chain.and_then(|chain| chain.first()).ok_or(LinkError::Certificate)?;
        let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|_| LinkError::Certificate)?;
        let mut names = parsed.valid_uri_names();
        let (Some(uri), None) = (names.next(), names.next()) else { return Err(LinkError::Certificate) };
        let (name, node) = uri
            .strip_prefix("hustings://")
            .and_then(|rest| rest.split_once("/node/"))
            .ok_or(LinkError::Certificate)?;
        if name != self.name.as_str() {
            let name = name.parse().map_err(|_| LinkError::Certificate)?;
            return Err(LinkError::OtherName { theirs: name, ours: self.name.clone() });
        }
        let number: u64 = node.parse().map_err(|_| LinkError::Certificate)?;
        // Written again it is the same: one way to write a number.
        if number.to_string() == node { Ok(NodeId(number)) } else { Err(LinkError::Certificate) }
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The same for every holder of the key: key, name and certificate.
fn authority(key: &JoinKey) -> Result<(Issuer<'static, KeyPair>, CertificateDer<'static>), rcgen::Error> {
    let mut pkcs8 = zeroize::Zeroizing::new(PKCS8_ED25519.to_vec());
    pkcs8.extend_from_slice(key.derived("certificate authority").as_ref());
    let pair =
        KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()), &PKCS_ED25519)?;
    // Another key is another name, so that its certificates are recognised as somebody else's.
    let print = Sha256::digest(pair.public_key_raw());
    let print: String = print[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Hustings cluster {print}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.serial_number = Some(SerialNumber::from_slice(&[1]));
    params.key_identifier_method = KeyIdMethod::Sha256;
    let root = params.self_signed(&pair)?.der().clone();
    Ok((Issuer::new(params, pair), root))
}

fn certificate(
    name: &ClusterName,
    own: NodeId,
    authority: &Issuer<'static, KeyPair>,
    provider: &CryptoProvider,
    unix: Duration,
) -> Result<CertifiedKey, NetError> {
    let pair = KeyPair::generate_for(&PKCS_ED25519).map_err(NetError::Certificate)?;
    let mut params = CertificateParams::default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + unix;
    params.not_before = now - VALID_EACH_WAY;
    params.not_after = now + VALID_EACH_WAY;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("{name} node {own}"));
    let uri = format!("hustings://{name}/node/{own}");
    params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(NetError::Certificate)?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let made = params.signed_by(&pair, authority).map_err(NetError::Certificate)?;
    let private = PrivatePkcs8KeyDer::from(pair.serialize_der());
    let signer = provider.key_provider.load_private_key(private.into()).map_err(NetError::Tls)?;
    Ok(CertifiedKey::new(vec![made.der().clone()], signer))
}

fn client(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    current: &Arc<Current>,
) -> Result<Arc<ClientConfig>, NetError> {
    let verifier = Arc::new(NodeVerifier { roots: roots.clone(), provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(NetError::Tls)?
        .dangerous() // names are checked by `node_of`, which knows ours; the chain is checked as ever
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(current.clone());
    config.enable_sni = false;
    // A resumed session would be one without a look at the certificate.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn server(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    current: &Arc<Current>,
) -> Result<Arc<ServerConfig>, NetError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| NetError::Tls(rustls::Error::General(error.to_string())))?;
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(NetError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(current.clone());
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().expect("nobody panics while holding it").clone())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().expect("nobody panics while holding it").clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Checks a server's chain and signatures like any other client; only the name is looked at elsewhere.
#[derive(Debug)]
struct NodeVerifier {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a failed read, write or handshake means, as far as TLS says it.
pub(crate) fn meaning(error: io::Error) -> LinkError {
    use CertificateError as Of;
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return LinkError::Connection(error);
    };
    match tls {
        rustls::Error::InvalidCertificate(Of::UnknownIssuer | Of::BadSignature)
        | rustls::Error::AlertReceived(AlertDescription::UnknownCA) => LinkError::OtherKey,
        rustls::Error::InvalidCertificate(
            Of::Expired | Of::ExpiredContext { .. } | Of::NotValidYet | Of::NotValidYetContext { .. },
        )
        | rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => LinkError::Clock,
        rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => LinkError::NotTls,
        _ => LinkError::Connection(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_holder_of_the_key_has_the_same_authority() {
        let root = |seed| authority(&JoinKey::from_random([seed; 16])).unwrap().1;
        assert_eq!(root(1), root(1));
        assert_ne!(root(1), root(2));
    }

    #[test]
    fn a_certificate_names_its_cluster_and_its_node() {
        let key = JoinKey::from_random([1; 16]);
        let unix = Duration::from_hours(500_000);
        let make = |name: &str, node| Identity::new(name.parse().unwrap(), &key, NodeId(node), unix).unwrap();
        let (ours, other) = (make("hall", 3), make("court", 7));
        let shown = |of: &Identity| of.current.0.read().unwrap().cert.clone();
        assert_eq!(ours.node_of(Some(&shown(&ours))).unwrap(), NodeId(3));
        assert!(
            matches!(ours.node_of(Some(&shown(&other))), Err(LinkError::OtherName { theirs, .. }) if theirs.as_str() == "court")
        );
        assert!(matches!(ours.node_of(None), Err(LinkError::Certificate)));
        let before = shown(&ours);
        ours.renew(NodeId(4), unix).unwrap();
        assert_ne!(shown(&ours), before);
        assert_eq!(ours.node_of(Some(&shown(&ours))).unwrap(), NodeId(4));
    }
}
