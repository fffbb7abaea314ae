// swift-tools-version:5.7
import PackageDescription

let package = Package(
    name: "chat",
    platforms: [.macOS(.v12)],
    dependencies: [.package(name: "Gabion", path: "../../bindings/swift")],
    targets: [.executableTarget(name: "chat", dependencies: ["Gabion"], path: ".", sources: ["chat.swift"])]
)
