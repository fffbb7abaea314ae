// swift-tools-version:5.7
import PackageDescription

// The library itself comes from `make -C bindings/c install`, which pkg-config finds.
let package = Package(
    name: "Gabion",
    platforms: [.macOS(.v12), .iOS(.v15)],
    products: [.library(name: "Gabion", targets: ["Gabion"])],
    targets: [
        .systemLibrary(name: "CGabion", pkgConfig: "gabion"),
        .target(name: "Gabion", dependencies: ["CGabion"]),
    ]
)
