# What may enter a build: buildx 0.31 and newer ask this file, by its name beside the Dockerfile, about every input.
package docker

default allow := false

allow if input.local

# A base image is named by its digest.
allow if input.image.isCanonical

# An application from git is a commit, not a branch that moves.
allow if input.git.isCommitRef

# A download has a pin. It is looked for in the build args and not in `input.http.checksum`: to know that one, the builder
# would ask the network even for what is cached. Without build args, the pins are those of the Dockerfile.
allow if {
	input.http
	count(unpinned) == 0
}

unpinned contains name if {
	some name, value in input.env.args
	endswith(name, "_SHA256")
	not regex.match(`^[0-9a-f]{64}$`, value)
	not judged_decompressed(name, value)
}

# A compressed file may go without a checksum of its own: place_model.py judges what comes out of it.
judged_decompressed(name, value) if {
	endswith(name, "_DOWNLOAD_SHA256")
	value == "none"
	url := input.env.args[replace(name, "_DOWNLOAD_SHA256", "_URL")]
	regex.match(`^[^?#]*\.(bz2|gz|xz|zst)([?#]|$)`, lower(url))
}

deny_msg contains msg if {
	input.image
	not input.image.isCanonical
	msg := sprintf("The base image %s has no digest. Pin it as name:tag@sha256:..., or run `make update-bases`.", [input.image.ref])
}

deny_msg contains msg if {
	input.git
	not input.git.isCommitRef
	msg := sprintf("The source %s is not pinned to a commit. Name it as <url>#<commit>.", [input.git.remote])
}

deny_msg contains msg if {
	input.http
	some name in unpinned
	msg := sprintf("Nothing is downloaded while %s is no pin: it must be 64 lowercase hex digits.", [name])
}

decision := {"allow": allow, "deny_msg": [msg | some msg in deny_msg]}
