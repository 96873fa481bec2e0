"""What we infer: the verbs that turn spectra into amounts of decomposition products."""
