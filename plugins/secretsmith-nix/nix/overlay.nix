# pkgs.secretsmith, the programs secretsmith and secretsmith-activate.
final: _: { secretsmith = final.callPackage ../package.nix { }; }
