//! Which cluster and which namespace: the flags, read as kubectl reads them.

use std::path::PathBuf;

use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use kube::{Resource, core::NamespaceResourceScope};
use secrecy::ExposeSecret as _;

use crate::failure::{Failure, causes};

/// Which cluster, which namespace, and as whom.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Cluster")]
pub struct Connection {
    /// Namespace; absent: that of the context.
    #[arg(short = 'n', long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig; absent: its current one.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig; absent: $KUBECONFIG, then ~/.kube/config, then the pod's own account.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// User to act as.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
}

/// A client, and the namespace that is meant where none is named.
#[derive(Clone)]
pub struct Session {
    /// Speaks to the API server with the user's own credentials.
    pub client: Client,
    /// The namespace of `-n`, or of the context.
    pub namespace: String,
    /// The token that the kubeconfig has for its user, if it has one as it is: other services of Muon's ask for it.
    pub(crate) token: Option<String>,
}

impl Connection {
    /// Reads the configuration. Nothing is sent yet.
    ///
    /// # Errors
    /// There is no configuration, or it is not complete.
    pub async fn open(&self) -> Result<Session, Failure> {
        let mut config = self.config().await?;
        if let Some(user) = &self.impersonate {
            config.auth_info.impersonate = Some(user.clone());
        }
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let token = token(&config);
        let client = Client::try_from(config).map_err(|error| Failure::of("the kubeconfig", error))?;
        Ok(Session { client, namespace, token })
    }

    async fn config(&self) -> Result<Config, Failure> {
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let kubeconfig = match read {
            Ok(kubeconfig) => kubeconfig,
            Err(error) => {
                let named =
                    self.kubeconfig.is_some() || self.context.is_some() || std::env::var_os("KUBECONFIG").is_some();
                return match Config::incluster() {
                    Ok(config) if !named => Ok(config),
                    _ => Err(Failure::Unreachable(format!(
                        "no kubeconfig can be read: {}; name one with --kubeconfig or KUBECONFIG",
                        causes(&error)
                    ))),
                };
            }
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| Failure::Unreachable(format!("the kubeconfig: {}", causes(&error))))
    }
}

/// The user's own token, of the kubeconfig or of the file that it names.
fn token(config: &Config) -> Option<String> {
    let user = &config.auth_info;
    let own = user.token.as_ref().map(|token| token.expose_secret().to_owned());
    own.or_else(|| Some(std::fs::read_to_string(user.token_file.as_ref()?).ok()?.trim().to_owned()))
}

impl Session {
    /// Objects of one kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The same session in another namespace.
    pub fn within(&self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self.clone() }
    }
}
